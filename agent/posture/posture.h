// SPDX-License-Identifier: Apache-2.0
// What a look at the SSH of a host found: policy by user and source, servers that listen, and
// findings with evidence, reason and fix. Stage: posture, pure. Thread: values. Texts are as the
// host's files have them: whoever shows them escapes them.
#ifndef CULPRIT_AGENT_POSTURE_POSTURE_H_
#define CULPRIT_AGENT_POSTURE_POSTURE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/posture/sshd_config.h"
#include "common/net_address.h"

namespace culprit {

enum class Severity : std::uint8_t { kInfo, kLow, kMedium, kHigh, kCritical };
std::string_view SeverityName(Severity severity);  // "info" … "critical"

struct PostureEvidence {
  Origin origin;     // of the line that decides; line 0: the file or process as a whole
  std::string text;  // that line, or what was seen there
};

// How to end it. `text` is to stand at the beginning of what sshd reads, so that it wins; `note`
// says what no text can do.
struct PostureFix {
  std::string text;
  std::string note;
};

struct PostureFinding {
  std::string id;  // "cfg.root_login"
  Severity severity = Severity::kInfo;
  std::string reason;
  std::vector<PostureEvidence> evidence;
  std::vector<std::string> contexts;  // "alice from public"; empty: the host as a whole
  PostureFix fix;
};

enum class SourceClass : std::uint8_t { kPublic, kPrivate, kLoopback };
std::string_view SourceClassName(SourceClass source);

// What sshd does with one user who comes from one address.
struct PolicyEntry {
  std::string user;
  SourceClass source = SourceClass::kPublic;
  std::string address;  // the example that was asked for
  bool admitted = true;
  std::string refused_by;            // why not, with the line
  std::vector<std::string> methods;  // "publickey", "password", …
  std::string forwarding;            // of TCP: "yes", "no", "local", "remote"
  std::string forced_command;        // "" without
};

// A process that answers SSH.
struct SshServer {
  enum class Kind : std::uint8_t { kOpenSsh, kDropbear, kTinySsh, kSocketUnit };
  Kind kind = Kind::kOpenSsh;
  std::int32_t pid = 0;
  std::string exe;
  bool exe_deleted = false;
  bool own_root = false;  // in a container
  std::string command;
  std::vector<std::string> arguments;  // of OpenSSH: program and options as far as they can be told
  std::int64_t start_ns = 0;           // wall time
  std::vector<Endpoint> listens;
};
std::string_view ServerKindName(SshServer::Kind kind);

// A line of a file of keys. Without a key: it is broken.
struct KeyRecord {
  enum class Kind : std::uint8_t {
    kUserKey,
    kUserAuthority,  // cert-authority: who has its certificate gets in as this user
    kAuthority,      // of TrustedUserCAKeys, for every user whom a certificate names
  };
  Kind kind = Kind::kUserKey;
  std::string user;  // "" for kAuthority
  std::string path;
  std::uint32_t line = 0;
  std::string type, fingerprint, comment, options;
  std::uint32_t bits = 0;
  std::uint64_t exponent = 0;  // of RSA
  bool accepted = false;
  std::string refused;     // why sshd would not let it in
  std::string principals;  // of an authority: where the names that it may vouch for are listed
  std::uint32_t owner_uid = 0, mode = 0;
  bool immutable = false, append_only = false;
  std::int64_t mtime_ns = 0;
};
std::string_view KeyKindName(KeyRecord::Kind kind);

// A file with a private key; the key itself is never kept.
struct PrivateKeyRecord {
  std::string user;                     // in whose home it is
  std::string path, type, fingerprint;  // the last is empty where only the private half tells
  bool encrypted = false;
  std::uint32_t owner_uid = 0, mode = 0;
};

struct PostureReport {
  std::string config_path;
  std::string drop_in;              // the file that a fix goes into
  std::string drop_in_note;         // what else that file needs to be read
  std::vector<std::string> limits;  // what could not be looked at
  bool live = false;                // processes and sockets were looked at as well
  std::vector<std::string> files;   // every configuration file that was read
  std::vector<PolicyEntry> policy;
  std::vector<SshServer> servers;
  std::vector<KeyRecord> keys;
  std::vector<PrivateKeyRecord> private_keys;
  std::vector<PostureFinding> findings;  // worst first
  Severity Worst() const;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_POSTURE_H_
