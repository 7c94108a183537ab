// SPDX-License-Identifier: Apache-2.0
// The members and the tables of a snapshot bundle, one after the other, for whoever compares, lists
// or tells them.
//
// Stage: common, pure behind the source. Thread: one caller. The bundle is hostile: members, lines
// and nesting are bounded, and what does not parse is counted. Says nothing of signatures: verify
// does.
#ifndef CULPRIT_COMMON_BUNDLE_ROWS_H_
#define CULPRIT_COMMON_BUNDLE_ROWS_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "common/bundle_manifest.h"
#include "common/bundle_reader.h"
#include "common/result.h"

namespace culprit {

struct BundleVisitor {
  // A row of "live/TABLE.jsonl", whichever part of the table it is in. May be empty, as the others.
  std::function<void(const std::string& table, const nlohmann::json& row)> row;
  // Each member in the order of the archive.
  std::function<void(const BundleReader::Member& member)> member;
  // Each line of the manifest, or where the bundle breaks off before it, of the tiers' manifests.
  std::function<void(const ManifestEntry& entry)> entry;
};

struct VisitedBundle {
  bool whole = false;  // it has its end
  std::string broken;  // why not
  std::uint64_t unreadable_rows = 0;
};

// Errors: the source's own; a bundle that is truncated or damaged is visited as far as it goes.
Result<VisitedBundle> VisitBundle(ByteSource source, const BundleVisitor& visitor,
                                  const BundleLimits& limits = {});

inline constexpr std::size_t kMaxTableBytes = std::size_t{16} << 20;  // of one member
// What a parser of JSON must not see.
bool NestsTooDeep(std::string_view line);
// A line of a table; no object where it cannot be read.
nlohmann::json ParseRow(std::string_view line);

// "live/sockets-3.jsonl" -> "sockets"; empty: not a table.
std::string TableOfMember(std::string_view name);

// Fields of a row; what is absent or of another type is empty, 0 or `otherwise`.
std::string RowTextOf(const nlohmann::json& row, const char* name);
std::uint64_t RowNumberOf(const nlohmann::json& row, const char* name);
// The command line of a row of processes, else its name; cut.
std::string RowCommandOf(const nlohmann::json& row);
std::int64_t RowSignedOf(const nlohmann::json& row, const char* name);

}  // namespace culprit

#endif  // CULPRIT_COMMON_BUNDLE_ROWS_H_
