// SPDX-License-Identifier: Apache-2.0
// Turns cumulative flow records into what was added since the record before: remembers the last cumulative values of
// each (host, flow, process).
//
// Stage: store. Pure. Thread: one caller (the index writer). Bounded: Trim() forgets closed flows first, then hands the
// longest idle open ones to the caller, who keeps them on disk.
//   newer record, no counter smaller -> the difference
//   newer record, a counter smaller  -> counting began anew (agent restarted): the whole value, never negative
//   older record (the lanes overtake each other) or a repeated one -> nothing
#ifndef CULPRIT_COLLECTOR_STORE_DELTA_TABLE_H_
#define CULPRIT_COLLECTOR_STORE_DELTA_TABLE_H_

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <unordered_map>

#include "collector/store/evidence_store.h"

namespace culprit {

struct FlowKey {
  std::uint32_t host = 0;
  std::uint64_t flow = 0, process = 0;
  friend auto operator<=>(const FlowKey&, const FlowKey&) = default;
};
struct FlowKeyHash {
  std::size_t operator()(const FlowKey& k) const noexcept {
    std::uint64_t h = k.flow ^ (k.process * 0x9e3779b97f4a7c15ULL) ^ k.host;
    h ^= h >> 32;
    return h * 0xd6e8feb86659fd93ULL;
  }
};

FlowCounters Minus(const FlowCounters& a, const FlowCounters& b);
void Add(FlowCounters* sum, const FlowCounters& more);
bool AnySmaller(const FlowCounters& a, const FlowCounters& b);

struct FlowBase {
  FlowCounters cumulative;
  std::uint64_t emitted_boot_ns = 0;
  bool final = false;
  RowPosition newest_row;  // of the flow; {0, 0} = none yet
};

struct FlowStep {
  FlowCounters added;
  std::uint64_t since_boot_ns = 0;  // of the record before; unset for the first
  bool first = false;
  bool rebased = false;
  FlowBase* base = nullptr;  // valid until the next Trim()
};

bool IsFinal(v1::FlowState state);

class DeltaTable {
 public:
  // nullopt = nothing new. `fetch` finds what an earlier Trim() handed out; it is asked on a miss only.
  using Fetch = std::function<std::optional<FlowBase>(const FlowKey&)>;
  std::optional<FlowStep> Observe(const FlowKey& key, const FlowObservation& seen,
                                  const Fetch& fetch);
  // For rebuilding: what a stored row says, in row order.
  void Restore(const FlowKey& key, const FlowBase& base);
  FlowBase* Find(const FlowKey& key);

  using Spill = std::function<void(const FlowKey&, const FlowBase&)>;
  void Trim(std::size_t max_flows, const Spill& spill);
  void ForEach(const Spill& visit) const;
  std::size_t size() const { return entries_.size(); }
  void Clear();

 private:
  using Order = std::list<FlowKey>;
  struct Entry {
    FlowBase base;
    Order::iterator place;
    bool in_closed = false;
  };
  Entry& Insert(const FlowKey& key, const FlowBase& base);
  void Touch(Entry* entry);

  std::unordered_map<FlowKey, Entry, FlowKeyHash> entries_;
  Order open_, closed_;  // longest untouched first
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_DELTA_TABLE_H_
