// SPDX-License-Identifier: Apache-2.0
// Coalesces the cumulative counters of processes: a process that reaches out (attempts, first
// contacts, raw or link packets) has a record a second, one whose bytes alone change has one in
// ten, and what changed goes at once at its end. Stage: aggregate. Pure. Thread: one caller.
// Bounded: over the bound counters pass through unmerged.
#ifndef CULPRIT_AGENT_AGGREGATE_COUNTER_TABLE_H_
#define CULPRIT_AGENT_AGGREGATE_COUNTER_TABLE_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <unordered_map>

#include "agent/model/record.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

class CounterTable {
 public:
  explicit CounterTable(std::size_t max_processes) : max_(max_processes) {}

  void Put(const CounterFacts& counters, std::deque<CounterFacts>& out);
  void Exit(ProcessId process, std::deque<CounterFacts>& out);
  void Tick(BootTime now, std::deque<CounterFacts>& out);
  void Flush(std::deque<CounterFacts>& out);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    CounterFacts last;
    std::uint64_t sent_reaching_out = 0;
    BootTime sent;  // zero: never
    bool dirty = false;
  };
  bool Due(const Entry& entry, BootTime now) const;

  std::size_t max_;
  std::unordered_map<ProcessId, Entry> entries_;
  BootTime scanned_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGGREGATE_COUNTER_TABLE_H_
