// SPDX-License-Identifier: Apache-2.0
// Joins flow events into rows that are cumulative over (flow, process), and decides when each row
// is emitted and in which lane:
//   evidence: outcome (hint, after hint_delay), first bytes, owner change, end; processes, exits,
//   counters, losses bulk:     every 10 s if changed, every 1 s if more than 1 MB moved, hourly if
//   open and silent
//
// Stage: aggregate. Pure: no I/O, no clock; time arrives in events and Tick().
// Thread: one caller. Failure: none; bounded by AggregateLimits, an evicted flow is emitted and
// counted.
#ifndef CULPRIT_AGENT_AGGREGATE_AGGREGATOR_H_
#define CULPRIT_AGENT_AGGREGATE_AGGREGATOR_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/aggregate/counter_table.h"
#include "agent/aggregate/flow_memory.h"
#include "agent/aggregate/flow_table.h"
#include "agent/aggregate/timer_wheel.h"
#include "agent/model/record.h"
#include "common/frame.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

struct AggregateLimits {
  std::size_t max_flows = 65'536;
  std::size_t max_counters = 8'192;       // processes whose counters are coalesced
  std::size_t max_pending_rows = 32'768;  // per lane; over it the oldest row is dropped and counted
  std::size_t max_pending_processes = 16'384;
  std::size_t max_batch_bytes =
      std::size_t{512} << 10;  // of process text in one batch: a frame holds 1 MiB compressed

  std::chrono::nanoseconds hint_delay = std::chrono::milliseconds(100);
  std::chrono::nanoseconds first_bytes = std::chrono::seconds(1);
  std::chrono::nanoseconds fast_interval = std::chrono::seconds(1);
  std::chrono::nanoseconds interval = std::chrono::seconds(10);
  std::chrono::nanoseconds silent_interval = std::chrono::hours(1);
  std::chrono::nanoseconds failed_grace =
      std::chrono::seconds(5);  // a failed connect whose socket stays open
  std::uint64_t fast_bytes = 1'000'000;
  std::uint32_t max_owner_changes = 8;
};

struct AggregateCounters {
  std::uint64_t flow_events = 0;
  std::uint64_t flows_started = 0, flows_ended = 0;
  std::uint64_t flows_evicted = 0;
  std::uint64_t owner_changes = 0;
  std::uint64_t stale_events = 0;      // counters below what is known: older than another record
  std::uint64_t flows_resumed = 0;     // of a run before
  std::uint64_t counter_restarts = 0;  // counted_from moved on: counters began anew and are added
  std::uint64_t rows[kLaneCount] = {};
  std::uint64_t rows_dropped = 0, processes_dropped = 0;
};

class Aggregator final : public EnrichSink {
 public:
  Aggregator(const Uuid& boot_id, const Uuid& run_id, const AggregateLimits& limits);

  // `memory` outlives the aggregator; `former` is what it kept of a run before in the same boot.
  // Before the first event.
  void Remember(FlowMemory* memory, const std::vector<RememberedPart>& former);

  void OnProcess(ProcessFacts facts) override;
  void OnExit(const ExitFacts& exit) override;
  void OnFlow(const AttributedFlow& flow) override;
  void OnCounters(const CounterFacts& counters) override;
  void OnLoss(LossCause cause, std::string_view source, std::uint64_t count, BootTime at) override;

  // Emits what is due at `now`. Call every 50-200 ms; a late or long step is made up for.
  void Tick(BootTime now);
  // Stop: every open flow that changed since its last row is emitted (evidence lane). Flows stay
  // open.
  void FlushAll(BootTime now);

  // What is ready to be sent in `lane`, at most `max_rows` of each kind of record (0 = 1,000) and
  // at most what one frame holds; call again while pending(lane) > 0. Never splits so that a flow
  // comes before the process it refers to. Boot and run id are always filled in, so that the edge
  // can add host, fidelity and heartbeat to an empty one.
  RecordBatch TakeBatch(Lane lane, std::size_t max_rows = 0);
  // Memory of rows of a batch that is done with, for the next.
  void Reuse(Lane lane, std::vector<FlowRow> rows);
  std::size_t pending(Lane lane) const;

  std::size_t live_flows() const { return flows_.size(); }
  const AggregateCounters& counters() const { return counters_; }

 private:
  struct Queue {  // rows[head..] are pending
    std::vector<FlowRow> rows;
    std::size_t head = 0;
    std::size_t size() const { return rows.size() - head; }
  };

  // aggregator.cc: what a record changes
  std::uint32_t Start(FlowId id, const FlowEvent& event);
  bool GoOn(Flow& flow, const FlowEvent& event);
  void Merge(Flow& flow, const FlowEvent& event);
  bool Charge(Flow& flow, const AttributedFlow& attributed);
  bool ChangeOwner(Flow& flow, const AttributedFlow& attributed);
  void Advance(Flow& flow, const FlowEvent& event);

  // emission.cc: when and where rows go out
  void Schedule(std::uint32_t index, bool news, const FlowEvent& event);
  void Arm(std::uint32_t index, BootTime due);
  void Fire(std::uint32_t index, BootTime due);
  void EmitFlow(Flow& flow, Lane lane, BootTime at);
  void EmitPart(Flow& flow, FlowPart& part, FlowState state, Lane lane, BootTime at);
  void End(std::uint32_t index, BootTime at);
  void EvictOne(BootTime at);
  void SweepSilent();
  void Push(const FlowRow& row, Lane lane);
  void TakeProcesses(RecordBatch& batch, std::size_t max_rows);
  void TakeLosses(RecordBatch& batch);
  bool LossesDue() const;
  void ForgetUnclaimed();
  BootTime Later(BootTime t) const { return t > now_ ? t : now_; }

  Uuid boot_id_, run_id_;
  AggregateLimits limits_;
  BootTime now_;
  FlowTable flows_;
  EndedFlows ended_;
  FlowMemory* memory_ = nullptr;
  std::unordered_map<FlowId, std::vector<RememberedPart>>
      former_;  // of flows that were not seen in this run yet
  BootTime former_until_;
  TimerWheel timers_;
  CounterTable process_counters_;
  std::deque<ProcessFacts> processes_;
  std::deque<ExitFacts> exits_;
  std::deque<CounterFacts> counter_rows_;
  Queue queues_[kLaneCount];
  std::map<std::pair<LossCause, std::string>, std::uint64_t> loss_sources_;
  std::map<LossCause, std::uint64_t> losses_, losses_sent_;  // sums over the sources
  BootTime loss_at_, losses_sent_at_;
  std::uint32_t evict_hand_ = 0, silent_hand_ = 0;
  bool flush_losses_ = false;
  AggregateCounters counters_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGGREGATE_AGGREGATOR_H_
