// SPDX-License-Identifier: Apache-2.0
// FindingTrigger: a snapshot of what is volatile (tiers 0 and 1) at the first sight of a finding,
// before anybody has looked at it.
//
// Stage: snapshot. Thread: Run() belongs to one. Bounds: one snapshot an interval and host;
// findings that are older than an interval, and those that an operator has decided about, begin
// none. Failure: logged; the finding stands without a snapshot.
#ifndef CULPRIT_COLLECTOR_SNAPSHOT_FINDING_TRIGGER_H_
#define CULPRIT_COLLECTOR_SNAPSHOT_FINDING_TRIGGER_H_

#include <chrono>
#include <cstdint>
#include <set>
#include <stop_token>
#include <string>

#include "collector/detect/finding_store.h"
#include "collector/snapshot/snapshots.h"

namespace culprit {

struct FindingTriggerOptions {
  v1::Severity severity = v1::SEVERITY_HIGH;              // at least
  std::chrono::seconds interval = std::chrono::hours(1);  // between two of a host
};

class FindingTrigger {
 public:
  // Both outlive it.
  FindingTrigger(const FindingStore& findings, Snapshots& snapshots,
                 const FindingTriggerOptions& options)
      : findings_(findings),
        snapshots_(snapshots),
        options_(options),
        change_(findings.WaitChange(0, std::chrono::milliseconds(0))) {}

  void Run(const std::stop_token& stop);

 private:
  void Consider(const v1::Finding& finding);
  bool TakenLately(const std::string& agent_id, WallTime now) const;

  const FindingStore& findings_;
  Snapshots& snapshots_;
  const FindingTriggerOptions options_;
  std::uint64_t change_;        // up to which findings were considered
  std::set<std::string> seen_;  // ids of findings
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_SNAPSHOT_FINDING_TRIGGER_H_
