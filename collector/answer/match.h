// SPDX-License-Identifier: Apache-2.0
// An abuse report and the flows that may be meant -> the processes that did it, best first, with
// the reasons.
//
// Stage: answer. Pure. Thread: values. Bounded: work is at most kMaxComparisons, and `cut` says so.
//
// Points, so that what is certain outweighs what is likely: the instance named 5, another one -8;
// a port said to be one 4, both ends 6, none of them -6; the time within a flow 6, less the doubt
// of how it had to be read (time_scan.h), down to -6 with the distance; the protocol 1 or -5. Of a
// line that names no address but ours: a public remote end 0, another -6, one that the report names
// elsewhere 3, the usual port of a service that is named 2. An imported flow -3.
// Of addresses that stand together, each doubling of those touched 2.
#ifndef CULPRIT_COLLECTOR_ANSWER_MATCH_H_
#define CULPRIT_COLLECTOR_ANSWER_MATCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collector/answer/report.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

inline constexpr std::uint64_t kMaxComparisons = 100'000'000;

// What must be asked of the index. `remote` unset: the instance's own traffic.
struct Search {
  std::optional<IpAddress> remote;
  std::string host;   // with `remote` unset: instance or agent id
  WallTime from, to;  // both epoch = all times
};
// At most 300. Addresses that are the hosts' own are asked for only where there is no other.
std::vector<Search> SearchesOf(const AbuseReport& report, const v1::ListHostsResponse& hosts,
                               WallTime now);

struct FlowMatch {
  v1::FlowRow flow;
  double points = 0;
  std::size_t sighting = 0;  // of AbuseReport::sightings
  std::vector<std::string> why;
};

struct ProcessMatch {
  std::string agent_id, host, process_id;  // process_id: 16 hex digits
  double points = 0;
  std::string confidence;     // "strong", "likely", "weak"
  std::size_t sightings = 0;  // that it explains
  std::uint64_t flows = 0;    // that fit
  std::uint64_t tx_wire_bytes = 0, rx_wire_bytes = 0;
  std::int64_t first_ns = 0, last_ns = 0;
  std::vector<FlowMatch> best;  // at most 5, best first
};

struct Answer {
  std::vector<ProcessMatch> matches;  // best first, at most 10
  std::vector<std::string> notes;     // what an operator should know of the report
  bool cut = false;
};

// `flows`: what the searches gave; each may be there more than once.
Answer RankMatches(const AbuseReport& report, const v1::ListHostsResponse& hosts,
                   const std::vector<v1::FlowRow>& flows, WallTime now);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ANSWER_MATCH_H_
