// SPDX-License-Identifier: Apache-2.0
// What an agent had to leave out of its evidence while one user made more processes than its tables
// hold for him: the storm's own detail, and what else runs as that user hides in it.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/detect/events.h"
#include "collector/detect/integrity.h"

namespace culprit {
namespace {

using std::chrono::seconds;

constexpr auto kShedWindow = seconds(60);

// Of names and counters of processes. Peers that are summed up are a scan or a flood by themselves.
bool ShedsProcesses(v1::LossCause cause) {
  return cause == v1::LOSS_CAUSE_PROCESS_BUDGET || cause == v1::LOSS_CAUSE_PROCESS_TABLE_FULL ||
         cause == v1::LOSS_CAUSE_AGENT_TABLE_FULL;
}

}  // namespace

// Counts of losses go up within a run.
void IntegrityDetector::TakeShed(const DecodedFrame& frame, WatchedAgent* agent) {
  WatchedAgent::Shed& shed = agent->shed;
  if (shed.run_id != frame.run_id) {
    shed = {};
    shed.run_id = frame.run_id;
  }
  const WallTime at = frame.stamp.received;
  std::uint64_t fresh = 0;
  for (const v1::Loss& loss : frame.losses) {
    if (!ShedsProcesses(loss.cause())) continue;
    std::uint64_t& known = shed.known[loss.cause()];
    fresh += std::max(known, loss.count()) - known;
    known = std::max(known, loss.count());
  }
  if (fresh == 0) return;
  if (shed.since + kShedWindow < at) {
    shed.since = at;
    shed.records = 0;
  }
  shed.records += fresh;
  if (shed.records < thresholds_.shed_records) return;
  Notice notice;
  notice.rule = "evidence-shed";
  notice.first = shed.since;
  notice.at = at;
  notice.lsn = frame.lsn;
  notice.with_flows = true;
  notice.reason = fmt::format(
      "had to sum up {} records of processes within a minute, by user: somebody on its host starts "
      "more of them than it has room for, and what else that user does meanwhile may go unnamed",
      shed.records);
  notice.measures = {MakeMeasure("records within a minute", static_cast<double>(shed.records),
                                 thresholds_.shed_records)};
  Raise(std::move(notice), agent);
  shed.since = {};  // the next minute is told by itself
}

}  // namespace culprit
