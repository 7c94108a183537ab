// SPDX-License-Identifier: Apache-2.0
// The detectors: each takes an event of a group, keeps its state in the group, and raises an alarm
// while its threshold is passed. What each does, and when it is wrong, stands in rules.cc (`culprit
// explain RULE`). Stage: detect. Pure. Thread: one caller.
#ifndef CULPRIT_COLLECTOR_DETECT_DETECTORS_H_
#define CULPRIT_COLLECTOR_DETECT_DETECTORS_H_

#include <string>
#include <unordered_map>

#include "collector/cost/price_table.h"
#include "collector/detect/events.h"
#include "collector/detect/group.h"
#include "collector/detect/thresholds.h"

namespace culprit {

// Horizontal and vertical scans: first contacts that fail, probes that nobody answers, crafted
// SYNs.
void WatchScan(const FlowEvent& flow, const ScanThresholds& t, Group& group, DetectContext& out);
void WatchScan(const ActivityEvent& activity, const ScanThresholds& t, Group& group,
               DetectContext& out);
// Alarms by what the group's state is by now, as Watch...() does by the same flow once one is due.
void JudgeScan(const FlowEvent& flow, const ScanThresholds& t, Group& group, DetectContext& out);

// Packets, or attempts to connect, at a rate that serves nobody.
void WatchFlood(const FlowEvent& flow, Group& group);
void WatchFlood(const ActivityEvent& activity, const FloodThresholds& t, Group& group,
                DetectContext& out);

// Guessing of passwords at other hosts.
void WatchBruteForce(const FlowEvent& flow, const BruteForceThresholds& t, Group& group,
                     DetectContext& out);

// A login's sshd, or any process, that carries the traffic of somebody else.
void WatchRelay(const FlowEvent& flow, const RelayThresholds& t, Group& group, DetectContext& out);
void WatchRelay(const NameEvent& name, const FlowFacts* flow, const RelayThresholds& t,
                Group& group, DetectContext& out);
void JudgeRelay(const FlowEvent& flow, const RelayThresholds& t, Group& group, DetectContext& out);

// Much data to places that the host never talked to.
void WatchEgress(const FlowEvent& flow, const EgressThresholds& t, Group& group,
                 DetectContext& out);
void JudgeEgress(const FlowEvent& flow, const EgressThresholds& t, Group& group,
                 DetectContext& out);

// Takes up a finding that was stored: its destinations stay what they were.
void ResumeEgress(const v1::Finding& finding, Group* group);

// Pools of miners.
void WatchMining(const FlowEvent& flow, const MiningThresholds& t, Group& group,
                 DetectContext& out);
void WatchMining(const NameEvent& name, const FlowFacts* flow, const MiningThresholds& t,
                 Group& group, DetectContext& out);

// Regular calls home.
void WatchBeacon(const FlowEvent& flow, const BeaconThresholds& t, Group& group,
                 DetectContext& out);

// Data in the names that are asked for.
void WatchDnsTunnel(const DnsEvent& dns, const DnsTunnelThresholds& t, Group& group,
                    DetectContext& out);

// Mail to many servers.
void WatchSpam(const FlowEvent& flow, const SpamThresholds& t, Group& group, DetectContext& out);

// Answers that are much larger than the questions, to whoever asks.
void WatchReflector(const FlowEvent& flow, const ReflectorThresholds& t, Group& group,
                    DetectContext& out);

// What the host's data transfer costs. `host` is the group of all its processes.
struct BudgetCase {
  WallTime at;
  Lsn lsn = 0;
  const BudgetThresholds& thresholds;
  const PriceTable* prices = nullptr;  // null = none
  const WayBook& ways;
  const std::unordered_map<std::string, Group>& groups;
};
void WatchBudget(const BudgetCase& c, Group& host, DetectContext& out);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_DETECTORS_H_
