// SPDX-License-Identifier: Apache-2.0
// The SSH of this host as evidence: its whole state, and single changes of what sshd reads. Names
// as in culprit.v1.Posture and culprit.v1.PostureChange. Stage: model. Thread: values. Never holds
// private key material or password hashes.
#ifndef CULPRIT_AGENT_MODEL_POSTURE_FACTS_H_
#define CULPRIT_AGENT_MODEL_POSTURE_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/sha256.h"
#include "common/time.h"

namespace culprit {

struct SshServerFacts {
  std::string kind;
  std::uint32_t pid = 0;
  std::string exe;
  bool exe_deleted = false;
  std::string command;
  std::vector<std::string> listens;
  ProcessId process;  // 0 = not known
  friend bool operator==(const SshServerFacts&, const SshServerFacts&) = default;
};

struct SshPolicyFacts {
  std::string user, source;
  bool admitted = false;
  std::vector<std::string> methods;
  std::string forwarding;
  friend bool operator==(const SshPolicyFacts&, const SshPolicyFacts&) = default;
};

struct SshFindingFacts {
  std::string id;
  std::uint32_t severity = 0;
  std::string reason;
  std::vector<std::string> evidence, contexts;
  std::string fix;
  friend bool operator==(const SshFindingFacts&, const SshFindingFacts&) = default;
};

struct AuthorizedKeyFacts {
  std::string user, path;
  std::uint32_t line = 0;
  std::string type;
  std::uint32_t bits = 0;
  std::string fingerprint, comment, options;
  bool accepted = false;
  std::string refused, kind;
  bool immutable = false, append_only = false;
  friend bool operator==(const AuthorizedKeyFacts&, const AuthorizedKeyFacts&) = default;
};

struct PostureFacts {
  BootTime at;
  std::string config_path;
  std::vector<std::string> files;
  std::vector<SshServerFacts> servers;
  std::vector<SshPolicyFacts> policy;
  std::vector<SshFindingFacts> findings;
  std::vector<AuthorizedKeyFacts> keys;
  std::vector<std::string> limits;
  std::uint32_t watched = 0, polled = 0;
  friend bool operator==(const PostureFacts&, const PostureFacts&) = default;
};

// Values as in culprit.v1.PostureChangeKind and WriterConfidence.
enum class PostureChangeKind : std::uint8_t {
  kNone = 0,
  kCreated = 1,
  kChanged = 2,
  kRemoved = 3,
  kAttributes = 4,
  kServerStarted = 5,
  kServerEnded = 6,
};
enum class WriterConfidence : std::uint8_t {
  kNone = 0,
  kNear = 1,
  kOneOfSeveral = 2,
  kNamed = 3,
};

struct FileStateFacts {
  std::optional<Sha256Digest> sha256;  // nullopt: there is no file, or it could not be read
  std::uint64_t size_bytes = 0;
  std::uint32_t uid = 0, mode = 0;
  bool immutable = false, append_only = false;
  friend bool operator==(const FileStateFacts&, const FileStateFacts&) = default;
};

struct PostureChangeFacts {
  BootTime at;
  PostureChangeKind kind = PostureChangeKind::kNone;
  std::string path;
  std::optional<FileStateFacts> before, after;  // nullopt: there was none, or no file is meant
  std::string diff;
  bool diff_cut = false;
  ProcessId process;  // who did it; 0 = not known
  std::uint32_t pid = 0;
  WriterConfidence confidence = WriterConfidence::kNone;
  std::vector<std::string> listens;
  friend bool operator==(const PostureChangeFacts&, const PostureChangeFacts&) = default;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_POSTURE_FACTS_H_
