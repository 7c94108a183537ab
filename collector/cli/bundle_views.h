// SPDX-License-Identifier: Apache-2.0
// What is in a snapshot bundle, when it was made and what differs between two: read out of the
// bundles, as rows that are shown or written as JSON.
//
// Stage: cli. Pure behind the source. Thread: any. Texts are the host's: escaped by who shows them.
// Failure: of the source; of a bundle that breaks off, what is there, and `broken` says why.
#ifndef CULPRIT_COLLECTOR_CLI_BUNDLE_VIEWS_H_
#define CULPRIT_COLLECTOR_CLI_BUNDLE_VIEWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "collector/cli/render.h"
#include "common/bundle_reader.h"
#include "common/result.h"

namespace culprit::cli {

struct ListedMember {
  std::string name, source, sha256, attributes;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;  // 0: a table, or not told
  bool cut = false;
  std::vector<std::string> notes;
};
struct MemberList {
  std::vector<ListedMember> members;
  std::string broken;
};
Result<MemberList> ListMembers(ByteSource source);
std::string RenderMembers(const MemberList& list, const View& view);
std::string MemberJson(const ListedMember& member);

// Something that happened at a time.
struct TimelineRow {
  std::int64_t at_ns = 0;
  std::string kind;  // "process", "modified", "changed", "born", "bpf", "snapshot"
  std::string what;
};
struct Timeline {
  std::vector<TimelineRow> rows;  // oldest first
  std::string broken;
  bool cut = false;  // there was more than is kept
};
// Between the two times; 0 = open.
Result<Timeline> ReadTimeline(ByteSource source, std::int64_t from_ns, std::int64_t to_ns);
std::string RenderTimeline(const Timeline& timeline, const View& view);
std::string TimelineJson(const TimelineRow& row);

struct Difference {
  char sign = '~';    // '+' only in the second, '-' only in the first, '~' in both
  std::string table;  // "process", "listener", "connection", "file", "module", "bpf", "mount"
  std::string what, before, after;
};
struct BundleDifference {
  std::vector<Difference> rows;
  std::string broken;
};

// What one bundle says, in a form that can be compared.
class BundleContent {
 public:
  static Result<BundleContent> Read(ByteSource source);
  BundleDifference To(const BundleContent& later) const;

 private:
  struct Item {
    std::string table, key, value;
    auto operator<=>(const Item&) const = default;
  };
  std::vector<Item> items_;  // sorted
  std::string broken_;
};
std::string RenderDifference(const BundleDifference& difference, const View& view);
std::string DifferenceJson(const Difference& row);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_BUNDLE_VIEWS_H_
