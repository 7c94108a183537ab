// SPDX-License-Identifier: Apache-2.0
// What stands out in a snapshot bundle: the short list that somebody reads before the tables. Rules
// are plain and each names what it saw; that something is listed is a reason to look, not a
// verdict.
//
// Stage: common, pure behind the source. Thread: any. The bundle is hostile: rows are bounded,
// texts are escaped by who shows them, a table that does not parse is told. Says nothing of
// signatures: verify does.
#ifndef CULPRIT_COMMON_BUNDLE_SUMMARY_H_
#define CULPRIT_COMMON_BUNDLE_SUMMARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/bundle_reader.h"
#include "common/cloud_facts.h"
#include "common/result.h"

namespace culprit {

struct Notable {
  std::string kind;       // "hidden-process", "deleted-executable", "packet-socket", …
  std::uint32_t pid = 0;  // 0: of no process
  std::string text;
};

struct BundleSummary {
  std::uint64_t processes = 0, sockets = 0, files = 0, skipped = 0;
  std::vector<Notable> notable;  // most telling first; at most 500
  bool more = false;             // there were more
  std::uint64_t unreadable_rows = 0;
  CloudFacts cloud;  // untold: the bundle holds none
};

// Errors: of the reader (a truncated or damaged bundle is summed up as far as it goes, with the
// error as a notable).
Result<BundleSummary> SummariseBundle(ByteSource source, const BundleLimits& limits = {});

std::string SummaryText(const BundleSummary& summary);
std::string SummaryJson(const BundleSummary& summary);
// The file at `path`, in one of the two forms.
Result<std::string> SummariseBundleFile(const std::string& path, bool json);

}  // namespace culprit

#endif  // CULPRIT_COMMON_BUNDLE_SUMMARY_H_
