// SPDX-License-Identifier: Apache-2.0
// When rows go out, and in which lane.
#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/aggregate/aggregator.h"

namespace culprit {
namespace {

constexpr std::size_t kDefaultRows = 1'000;
constexpr std::size_t kMostRows = 4'000;
constexpr std::uint32_t kEvictProbes = 16;
constexpr std::uint32_t kSilentProbes = 256;
constexpr std::chrono::nanoseconds kLossInterval = std::chrono::seconds(1);

std::uint64_t WireBytes(const Flow& flow) {
  return flow.seen_totals.tx_wire_bytes + flow.seen_totals.rx_wire_bytes;
}

bool IsDirty(const Flow& flow) {
  return flow.owner.dirty ||
         (flow.former != nullptr && std::any_of(flow.former->begin(), flow.former->end(),
                                                [](const FlowPart& part) { return part.dirty; }));
}

bool HasFailed(const Flow& flow) {
  return flow.state == FlowState::kFailed || flow.state == FlowState::kAborted ||
         flow.state == FlowState::kNotSent;
}

std::size_t TextBytes(const ProcessFacts& facts) {
  std::size_t bytes = 256 + facts.exe.size() + facts.cgroup.size() + facts.cwd.size();
  for (const std::string& arg : facts.argv) bytes += arg.size() + 4;
  return bytes;
}

template <class Record>
void Move(std::deque<Record>& from, std::vector<Record>& to, std::size_t max) {
  const auto count = static_cast<std::ptrdiff_t>(std::min(max, from.size()));
  to.assign(std::move_iterator(from.begin()), std::move_iterator(from.begin() + count));
  from.erase(from.begin(), from.begin() + count);
}

}  // namespace

void Aggregator::Arm(std::uint32_t index, BootTime due) {
  Flow& flow = flows_.at(index);
  if (flow.due != BootTime{} && flow.due <= due) return;
  flow.due = due;
  timers_.Schedule(index, due);
}

void Aggregator::Schedule(std::uint32_t index, bool news, const FlowEvent& event) {
  Flow& flow = flows_.at(index);
  const BootTime at = Later(event.at);
  if (news) {
    flow.outcome_due = true;
    return Arm(index, at + limits_.hint_delay);
  }
  if (flow.emitted == BootTime{}) {
    // No outcome yet: told all the same once the attempt has lasted.
    flow.outcome_due = true;
    return Arm(index, at + limits_.first_bytes);
  }
  if (!flow.owner.dirty) return;
  if (!flow.first_bytes_told && flow.first_bytes != BootTime{}) {
    return Arm(index, std::max(at, flow.first_bytes + limits_.first_bytes));
  }
  const bool fast = WireBytes(flow) - flow.emitted_bytes > limits_.fast_bytes;
  Arm(index, std::max(at, flow.emitted + (fast ? limits_.fast_interval : limits_.interval)));
}

void Aggregator::Fire(std::uint32_t index, BootTime due) {
  Flow& flow = flows_.at(index);
  if (flow.id == FlowId{} || flow.due != due) return;
  if (due > now_) return timers_.Schedule(index, due);  // beyond the wheel
  flow.due = BootTime{};
  const bool first_bytes = !flow.first_bytes_told && flow.first_bytes != BootTime{} &&
                           flow.first_bytes + limits_.first_bytes <= now_;
  if (first_bytes) flow.first_bytes_told = true;
  if (flow.outcome_due || IsDirty(flow)) {
    EmitFlow(flow, flow.outcome_due || first_bytes ? Lane::kEvidence : Lane::kBulk, now_);
  } else if (HasFailed(flow)) {
    // The socket stayed open behind a failed connect; its end, if it ever comes, says nothing new.
    ++counters_.flows_ended;
    ended_.Remember(flow, now_);
    if (memory_ != nullptr) memory_->Forget(flow.id);
    return flows_.Erase(index);
  }
  if (HasFailed(flow)) {
    Arm(index, now_ + limits_.failed_grace);
  } else if (!flow.first_bytes_told && flow.first_bytes != BootTime{}) {
    Arm(index, std::max(now_, flow.first_bytes + limits_.first_bytes));
  }
}

void Aggregator::Tick(BootTime now) {
  now_ = std::max(now_, now);
  timers_.Advance(now_, [this](std::uint32_t index, BootTime due) { Fire(index, due); });
  SweepSilent();
  process_counters_.Tick(now_, counter_rows_);
  if (!former_.empty()) ForgetUnclaimed();
}

// Flows that ended while no agent ran. Peers of an unconnected socket may come back late.
void Aggregator::ForgetUnclaimed() {
  if (former_until_ == BootTime{}) former_until_ = now_ + limits_.silent_interval;
  if (now_ < former_until_) return;
  for (const auto& [flow, parts] : former_) memory_->Forget(flow);
  former_.clear();
}

void Aggregator::SweepSilent() {
  const std::uint32_t slots = flows_.slots();
  for (std::uint32_t n = std::min(kSilentProbes, slots); n > 0; --n) {
    if (++silent_hand_ >= slots) silent_hand_ = 0;
    Flow& flow = flows_.at(silent_hand_);
    if (flow.id == FlowId{} || flow.due != BootTime{} || flow.emitted == BootTime{}) continue;
    if (now_ - flow.emitted < limits_.silent_interval) continue;
    flow.owner.dirty = true;
    EmitFlow(flow, Lane::kBulk, now_);
  }
}

void Aggregator::FlushAll(BootTime now) {
  now_ = std::max(now_, now);
  for (std::uint32_t index = 0; index < flows_.slots(); ++index) {
    Flow& flow = flows_.at(index);
    if (flow.id != FlowId{} && (flow.outcome_due || IsDirty(flow))) {
      EmitFlow(flow, Lane::kEvidence, now_);
    }
  }
  process_counters_.Flush(counter_rows_);
  flush_losses_ = true;
}

void Aggregator::EmitFlow(Flow& flow, Lane lane, BootTime at) {
  if (flow.former != nullptr) {
    for (FlowPart& part : *flow.former) {
      if (part.dirty) EmitPart(flow, part, FlowState::kHandedOver, lane, at);
    }
  }
  if (flow.owner.dirty || flow.outcome_due) EmitPart(flow, flow.owner, flow.state, lane, at);
  flow.outcome_due = false;
  flow.emitted = at;
  flow.emitted_bytes = WireBytes(flow);
}

void Aggregator::EmitPart(Flow& flow, FlowPart& part, FlowState state, Lane lane, BootTime at) {
  if (flow.direction == Direction::kUnknown) flow.direction = flows_.DirectionByPorts(flow);
  FlowRow row;
  row.flow = flow.id;
  row.cookie = flow.cookie;
  row.generation = flow.generation;
  row.process = part.process;
  row.creator = flow.creator;
  row.local = flow.local;
  row.remote = flow.remote;
  row.protocol = flow.protocol;
  row.direction = flow.direction;
  row.state = state;
  row.error = flow.error;
  row.flags = flow.flags | (part.is_agent ? kFlowFlagAgent : 0);
  row.start = CutTime(flow.start, kStartCutBits);
  // The distance is what is written, so it is what is cut.
  const auto lasted = std::max(flow.last, flow.start) - flow.start;
  row.last = row.start + CutTime(BootTime(lasted), kLastCutBits).time_since_epoch();
  row.emitted = at;
  row.totals = part.totals;
  row.netns = flow.netns;
  row.n_senders = flow.n_senders;
  row.in_ifindex = flow.in_ifindex;
  row.out_ifindex = flow.out_ifindex;
  part.dirty = false;
  part.emitted = true;
  part.emitted_state = state;
  Push(row, lane);
}

void Aggregator::End(std::uint32_t index, BootTime at) {
  Flow& flow = flows_.at(index);
  // A failed connect was told with all there is to tell; any other end is news.
  flow.outcome_due = flow.outcome_due || flow.owner.emitted_state != flow.state;
  EmitFlow(flow, Lane::kEvidence, at);
  if (flow.direction == Direction::kListen) flows_.RemoveListener(flow);
  ++counters_.flows_ended;
  ended_.Remember(flow, at);
  if (memory_ != nullptr) memory_->Forget(flow.id);
  flows_.Erase(index);
}

void Aggregator::EvictOne(BootTime at) {
  std::uint32_t victim = FlowTable::kNone;
  const std::uint32_t slots = flows_.slots();
  // One owner before several: what several owners settled cannot be found again in the socket's
  // totals.
  const auto better = [this](std::uint32_t a, std::uint32_t b) {
    const Flow& x = flows_.at(a);
    const Flow& y = flows_.at(b);
    if ((x.former == nullptr) != (y.former == nullptr)) return x.former == nullptr;
    return x.seen < y.seen;
  };
  std::uint32_t probes = kEvictProbes;
  for (std::uint32_t n = 0; n < slots && probes > 0; ++n) {
    if (++evict_hand_ >= slots) evict_hand_ = 0;
    if (flows_.at(evict_hand_).id == FlowId{}) continue;
    --probes;
    if (victim == FlowTable::kNone || better(evict_hand_, victim)) victim = evict_hand_;
  }
  if (victim == FlowTable::kNone) return;
  Flow& flow = flows_.at(victim);
  if (flow.outcome_due || IsDirty(flow)) EmitFlow(flow, Lane::kEvidence, at);
  if (flow.direction == Direction::kListen) flows_.RemoveListener(flow);
  if (memory_ != nullptr) memory_->Forget(flow.id);
  flows_.Erase(victim);
  ++counters_.flows_evicted;
  OnLoss(LossCause::kAgentTableFull, "flows", counters_.flows_evicted, at);
}

void Aggregator::Push(const FlowRow& row, Lane lane) {
  const auto n = static_cast<std::size_t>(lane);
  Queue& queue = queues_[n];
  if (queue.size() >= limits_.max_pending_rows) {
    ++queue.head;
    ++counters_.rows_dropped;
    OnLoss(LossCause::kQueueFull, "rows", counters_.rows_dropped, now_);
    if (queue.head >= limits_.max_pending_rows) {
      queue.rows.erase(queue.rows.begin(),
                       queue.rows.begin() + static_cast<std::ptrdiff_t>(queue.head));
      queue.head = 0;
    }
  }
  queue.rows.push_back(row);
  ++counters_.rows[n];
}

std::size_t Aggregator::pending(Lane lane) const {
  const std::size_t rows = queues_[static_cast<std::size_t>(lane)].size();
  if (lane == Lane::kBulk) return rows;
  return rows + processes_.size() + exits_.size() + counter_rows_.size() + (LossesDue() ? 1U : 0U);
}

RecordBatch Aggregator::TakeBatch(Lane lane, std::size_t max_rows) {
  max_rows = max_rows == 0 ? kDefaultRows : std::min(max_rows, kMostRows);
  RecordBatch batch;
  batch.boot_id = boot_id_;
  batch.run_id = run_id_;
  if (lane == Lane::kEvidence) {
    TakeProcesses(batch, max_rows);
    if (!processes_.empty()) return batch;  // what refers to them comes with the next
    Move(exits_, batch.exits, max_rows);
    Move(counter_rows_, batch.counters, max_rows);
    if (LossesDue()) TakeLosses(batch);
  }
  Queue& queue = queues_[static_cast<std::size_t>(lane)];
  if (queue.head == 0 && queue.rows.size() <= max_rows) {
    batch.flows = std::exchange(queue.rows, {});
    return batch;
  }
  const std::size_t count = std::min(max_rows, queue.size());
  const auto begin = queue.rows.begin() + static_cast<std::ptrdiff_t>(queue.head);
  batch.flows.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
  queue.head += count;
  if (queue.size() == 0) {
    queue.rows.clear();
    queue.head = 0;
  }
  return batch;
}

void Aggregator::Reuse(Lane lane, std::vector<FlowRow> rows) {
  Queue& queue = queues_[static_cast<std::size_t>(lane)];
  if (!queue.rows.empty() || queue.rows.capacity() >= rows.capacity()) return;
  rows.clear();
  queue.rows = std::move(rows);
}

void Aggregator::TakeProcesses(RecordBatch& batch, std::size_t max_rows) {
  std::size_t bytes = 0;
  while (!processes_.empty() && batch.processes.size() < max_rows) {
    bytes += TextBytes(processes_.front());
    if (bytes > limits_.max_batch_bytes && !batch.processes.empty()) return;
    batch.processes.push_back(std::move(processes_.front()));
    processes_.pop_front();
  }
}

bool Aggregator::LossesDue() const {
  if (losses_ == losses_sent_) return false;
  return flush_losses_ || losses_sent_at_ == BootTime{} || now_ - losses_sent_at_ >= kLossInterval;
}

void Aggregator::TakeLosses(RecordBatch& batch) {
  for (const auto& [cause, count] : losses_) {
    const auto sent = losses_sent_.find(cause);
    if (sent != losses_sent_.end() && sent->second == count) continue;
    LossFacts facts;
    facts.cause = cause;
    facts.count = count;
    facts.at = loss_at_;
    for (const auto& [key, n] : loss_sources_) {
      if (key.first != cause) continue;
      facts.detail += (facts.detail.empty() ? "" : " ") + key.second + "=" + std::to_string(n);
    }
    batch.losses.push_back(std::move(facts));
  }
  losses_sent_ = losses_;
  losses_sent_at_ = now_ == BootTime{} ? BootTimeFromNs(1) : now_;
  flush_losses_ = false;
}

}  // namespace culprit
