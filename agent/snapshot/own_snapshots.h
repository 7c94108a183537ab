// SPDX-License-Identifier: Apache-2.0
// OwnSnapshots: the snapshots that the agent begins by itself: those that wait for another to end,
// and those that were begun, which are offered to the collector until it releases them.
//
// Stage: snapshot. Thread: one caller; time is given. Bounds: kMaxQueued, kMaxOffered.
#ifndef CULPRIT_AGENT_SNAPSHOT_OWN_SNAPSHOTS_H_
#define CULPRIT_AGENT_SNAPSHOT_OWN_SNAPSHOTS_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/control.h"

namespace culprit {

struct OwnSnapshot {
  std::string trigger;  // "spot interruption: terminate at …"; at most kMaxOrderText
  unsigned last_tier = 1;
  std::string instance_id, hostname;
};

class OwnSnapshots {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kMaxQueued = 8, kMaxOffered = 64;
  static constexpr std::chrono::seconds kAgain{30};

  // False: too many wait.
  bool Queue(OwnSnapshot wish);
  const OwnSnapshot* next() const { return queue_.empty() ? nullptr : &queue_.front(); }
  void DropNext() { queue_.pop_front(); }

  // It was begun, now or by an earlier run.
  void Offer(const SnapshotOffer& offer);
  // The collector has it in hand: it is not offered for kAgain.
  void AskedAbout(const Uuid& id, Time now);
  void Released(const Uuid& id) { offered_.erase(id); }

  // A collector wants to know, from now on: all at once.
  void Watch(std::uint64_t request_id);
  // What is to be said to it now, at most `most`.
  std::vector<ControlAnswer> Due(Time now, std::size_t most);
  // When there is more to say; nullopt: never.
  std::optional<Time> next_due() const;

  std::size_t queued() const { return queue_.size(); }
  std::size_t kept() const { return offered_.size(); }
  bool Has(const Uuid& id) const { return offered_.contains(id); }

 private:
  struct Offered {
    SnapshotOffer offer;
    Time due;
  };
  std::deque<OwnSnapshot> queue_;
  std::map<Uuid, Offered> offered_;
  std::optional<std::uint64_t> watch_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_OWN_SNAPSHOTS_H_
