// SPDX-License-Identifier: Apache-2.0
// The manifest of a snapshot bundle: one JSON object a line, each with the SHA-256 of the line
// before it. DESIGN.md "Bundle" has the form.
//
// Stage: common, pure. Thread: values. Parsing is total on any bytes and bounded.
#ifndef CULPRIT_COMMON_BUNDLE_MANIFEST_H_
#define CULPRIT_COMMON_BUNDLE_MANIFEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/result.h"
#include "common/sha256.h"
#include "common/time.h"

namespace culprit {

inline constexpr std::string_view kBundleFormat = "culprit-snapshot-1";
// What signatures are for: the -n of ssh-keygen -Y verify.
inline constexpr std::string_view kBundleNameSpace = "culprit-snapshot";
inline constexpr std::string_view kManifestName = "manifest.jsonl";
inline constexpr std::string_view kSignatureName = "manifest.jsonl.sig";
inline constexpr std::size_t kMaxManifestBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxManifestLine = std::size_t{64} << 10;
inline constexpr std::size_t kMaxMemberName = 1024;

// "manifest-tier0.jsonl": lines since the one before, signed like the whole, so that a cut bundle
// can be checked as far as it goes.
std::string TierManifestName(unsigned tier);

using TextFields = std::vector<std::pair<std::string, std::string>>;

// Which snapshot, of what, by whom; values are claims of the agent.
struct BundleHead {
  std::string snapshot_id, instance_id, hostname, boot_id;
  std::string tool, tool_sha256;  // name and version; hash of the program that collected
  std::string trigger, operator_name, case_id;
  WallTime started;
  TextFields limits;
};

// What is recorded of a file that was copied; all zero for a table that was made.
struct FileFacts {
  bool present = false;
  std::uint32_t mode = 0, uid = 0, gid = 0;
  std::uint64_t inode = 0, device = 0, size = 0;
  std::int64_t mtime_ns = 0, atime_ns = 0, ctime_ns = 0, btime_ns = 0;
  std::string attributes;  // "immutable", "append-only", both with a blank
};

struct BundleMember {
  std::string name;    // in the archive
  std::string source;  // where it came from, escaped: path, or call of the kernel
  std::uint64_t size = 0;
  Sha256Digest sha256{};
  WallTime started, ended;
  bool cut = false;  // there was more; `notes` says what
  FileFacts file;
  std::vector<std::string> notes;  // "changed while it was read", "redacted: …"
};

struct TierEnd {
  unsigned tier = 0;
  std::uint64_t members = 0, skipped = 0, bytes = 0;
  WallTime started, ended;
};

struct BundleEnd {
  std::uint64_t members = 0, skipped = 0, bytes = 0;
  WallTime ended;
};

using ManifestEntry = std::variant<BundleHead, BundleMember, TierEnd, BundleEnd>;

struct ManifestLine {
  std::uint64_t seq = 0;
  Sha256Digest previous{};  // zeros for the first
  ManifestEntry entry;
};

// Without the line feed.
std::string FormatManifestLine(const ManifestLine& line);
Result<ManifestLine> ParseManifestLine(std::string_view line);

// Follows the chain over lines as they come.
class ManifestChain {
 public:
  // Errors: kDataLoss (not a line, another number, another hash than that of the line before).
  Result<ManifestLine> Next(std::string_view line);
  std::uint64_t lines() const { return next_; }

 private:
  std::uint64_t next_ = 0;
  Sha256Digest previous_{};
};

// A path of a host as a name in the archive: under "[root]/", without "." and "..", and with bytes
// that terminals, shells or file systems mind as %XX; one that is too long ends in its hash.
std::string MemberNameOf(std::string_view path);

}  // namespace culprit

#endif  // CULPRIT_COMMON_BUNDLE_MANIFEST_H_
