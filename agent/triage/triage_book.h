// SPDX-License-Identifier: Apache-2.0
// TriageBook: what one watch over a host has told, the newest record of each thing. It keeps; what
// follows from it is triage_report.h's.
//
// Stage: triage, pure: times arrive in records. Thread: one caller. Failure: none; what is over a
// bound is counted.
#ifndef CULPRIT_AGENT_TRIAGE_TRIAGE_BOOK_H_
#define CULPRIT_AGENT_TRIAGE_TRIAGE_BOOK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "agent/model/record.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

struct TriageLimits {
  std::size_t processes = 65'536, flows = 200'000, logins = 10'000, failures = 10'000;
};

// One flow charged to one process. `first`: its sums when it was first told, which of a connection
// that is older than the watch is what had passed before.
struct WatchedFlow {
  FlowRow row;
  FlowTotals first;
};

class TriageBook {
 public:
  // Minute, address, user, method.
  using FailureKey = std::tuple<std::int64_t, std::optional<IpAddress>, std::string, std::string>;

  explicit TriageBook(const TriageLimits& limits = {}) : limits_(limits) {}

  void Take(const RecordBatch& batch, const ClockPair& clock);

  const ProcessFacts* Find(ProcessId id) const;
  bool Ended(ProcessId id) const { return exits_.contains(id); }
  const std::map<ProcessId, ProcessFacts>& processes() const { return processes_; }
  const std::map<std::pair<FlowId, ProcessId>, WatchedFlow>& flows() const { return flows_; }
  const std::map<ProcessId, CounterFacts>& counters() const { return counters_; }
  const std::map<ProcessId, SessionFacts>& sessions() const { return sessions_; }
  const std::vector<LoginFacts>& logins() const { return logins_; }
  const std::map<FailureKey, LoginFailureFacts>& failures() const { return failures_; }
  const std::optional<HostFacts>& host() const { return host_; }
  const std::map<LossCause, LossFacts>& losses() const { return losses_; }
  const std::optional<FidelityFacts>& fidelity() const { return fidelity_; }
  // Clock of the first and the newest batch.
  const std::optional<ClockPair>& first_clock() const { return first_clock_; }
  const ClockPair& clock() const { return clock_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  template <class Map, class Key, class Value>
  void Keep(Map* map, const Key& key, const Value& value, std::size_t limit) {
    if (map->size() >= limit && !map->contains(key)) {
      ++dropped_;
    } else {
      (*map)[key] = value;
    }
  }
  void TakeFlow(const FlowRow& row);

  TriageLimits limits_;
  std::map<ProcessId, ProcessFacts> processes_;
  std::map<ProcessId, BootTime> exits_;
  std::map<std::pair<FlowId, ProcessId>, WatchedFlow> flows_;
  std::map<ProcessId, CounterFacts> counters_;
  std::map<ProcessId, SessionFacts> sessions_;
  std::vector<LoginFacts> logins_;
  std::map<FailureKey, LoginFailureFacts> failures_;
  std::map<LossCause, LossFacts> losses_;
  std::optional<HostFacts> host_;
  std::optional<FidelityFacts> fidelity_;
  std::optional<ClockPair> first_clock_;
  ClockPair clock_;
  std::uint64_t dropped_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_TRIAGE_TRIAGE_BOOK_H_
