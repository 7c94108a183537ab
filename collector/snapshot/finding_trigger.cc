// SPDX-License-Identifier: Apache-2.0
#include "collector/snapshot/finding_trigger.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

constexpr std::chrono::milliseconds kLook{500};
constexpr std::uint32_t kMost = 1000;
constexpr std::size_t kMaxSeen = 100'000;
constexpr unsigned kLastTier = 1;

}  // namespace

void FindingTrigger::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const std::uint64_t newest = findings_.WaitChange(change_, kLook);
    if (newest <= change_) continue;
    FindingQuery query;
    query.min_severity = options_.severity;
    query.states = {v1::FINDING_STATE_OPEN};
    query.changed_after = change_;
    query.limit = kMost;
    const auto found = findings_.List(query);
    if (!found) {
      spdlog::warn("snapshots at findings wait error={}", found.error().message);
      continue;
    }
    change_ = newest;
    // Oldest first: that is the one which began it.
    for (auto finding = found->rbegin(); finding != found->rend(); ++finding) Consider(*finding);
  }
}

void FindingTrigger::Consider(const v1::Finding& finding) {
  if (seen_.size() >= kMaxSeen) seen_.clear();
  if (!seen_.insert(finding.id()).second) return;
  const auto agent = Uuid::Parse(finding.agent_id());
  // After a start evidence is read again, and old findings are told once more.
  const bool old = finding.stored_ns() != 0 &&
                   ReadWallClock() - WallTimeFromNs(finding.stored_ns()) > options_.interval;
  if (!agent || old || TakenLately(finding.agent_id(), ReadWallClock())) return;
  SnapshotWish wish;
  wish.agent_id = *agent;
  wish.host = finding.host();
  wish.last_tier = kLastTier;
  wish.trigger = "finding " + finding.id() + " " + finding.rule();
  const auto taken = snapshots_.Take(wish);
  if (taken) {
    spdlog::info("snapshot at a finding id={} host={} finding={} rule={}", taken->id(),
                 finding.host(), finding.id(), finding.rule());
  } else {
    spdlog::warn("no snapshot at a finding host={} finding={} error={}", finding.host(),
                 finding.id(), taken.error().message);
  }
}

// Whoever asked for it: what is there need not be taken once more. What a host began by itself does
// not count: it must not keep others from looking.
bool FindingTrigger::TakenLately(const std::string& agent_id, WallTime now) const {
  const std::vector<v1::Snapshot> taken = snapshots_.List(*Uuid::Parse(agent_id), kMost);
  return std::any_of(taken.begin(), taken.end(), [&](const v1::Snapshot& snapshot) {
    return !snapshot.offered() && snapshot.last_tier() >= kLastTier &&
           snapshot.state() != v1::SNAPSHOT_STATE_FAILED &&
           now - WallTimeFromNs(snapshot.asked_ns()) < options_.interval;
  });
}

}  // namespace culprit
