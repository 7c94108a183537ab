// SPDX-License-Identifier: Apache-2.0
// What a record changes in a flow; emission.cc decides what of it goes out when.
#include "agent/aggregate/aggregator.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "common/flow_id.h"

namespace culprit {
namespace {

constexpr std::uint8_t kTcpSynSent = 2;
constexpr std::size_t kMaxParts = 16;

constexpr std::uint64_t FlowTotals::*kFields[] = {
    &FlowTotals::tx_wire_bytes,    &FlowTotals::rx_wire_bytes,    &FlowTotals::tx_skb_bytes,
    &FlowTotals::rx_skb_bytes,     &FlowTotals::tx_packets,       &FlowTotals::rx_packets,
    &FlowTotals::tx_payload_bytes, &FlowTotals::rx_payload_bytes, &FlowTotals::retransmitted_bytes};

bool AnyLower(const FlowTotals& a, const FlowTotals& b) {
  return std::any_of(std::begin(kFields), std::end(kFields), [&](auto f) { return a.*f < b.*f; });
}

// Raises `seen` to `now` and returns by how much.
FlowTotals Raise(FlowTotals& seen, const FlowTotals& now) {
  FlowTotals delta;
  for (const auto f : kFields) {
    if (now.*f <= seen.*f) continue;
    delta.*f = now.*f - seen.*f;
    seen.*f = now.*f;
  }
  return delta;
}

void Add(FlowTotals& to, const FlowTotals& delta) {
  for (const auto f : kFields) to.*f += delta.*f;
}

std::uint32_t RowFlags(std::uint32_t flags) {
  static constexpr std::pair<std::uint32_t, std::uint32_t> kMap[] = {
      {CULPRIT_FLOW_PREEXISTING, kFlowFlagPreexisting},
      {CULPRIT_FLOW_KERNEL, kFlowFlagKernel},
      {CULPRIT_FLOW_PEER, kFlowFlagPeer},
      {CULPRIT_FLOW_SHARED, kFlowFlagShared},
      {CULPRIT_FLOW_RAW, kFlowFlagRaw},
      {CULPRIT_FLOW_OVERFLOW, kFlowFlagOverflow},
      {CULPRIT_FLOW_OWNER_BY_CREATOR, kFlowFlagOwnerByCreator},
      {CULPRIT_FLOW_LINK, kFlowFlagLink},
      {CULPRIT_FLOW_REREAD, kFlowFlagReread},
  };
  std::uint32_t out = 0;
  for (const auto& [from, to] : kMap) {
    if ((flags & from) != 0) out |= to;
  }
  return out;
}

FlowState FailureOf(const FlowEvent& event) {
  if ((event.flags & CULPRIT_FLOW_NOT_SENT) != 0) return FlowState::kNotSent;
  if ((event.flags & CULPRIT_FLOW_ABORTED) != 0) return FlowState::kAborted;
  return event.error != 0 ? FlowState::kFailed : FlowState::kAborted;
}

bool HasFailed(FlowState state) {
  return state == FlowState::kFailed || state == FlowState::kAborted ||
         state == FlowState::kNotSent;
}

bool NeverOpened(const Flow& flow) {
  if (flow.state == FlowState::kAttempt) return true;
  // The record of the outcome was lost.
  return flow.state == FlowState::kNone && flow.direction == Direction::kOut &&
         (flow.flags & kFlowFlagPreexisting) == 0;
}

// The kernel's own counters of the connection are read into these, or will be in a moment: a few
// bytes less than before is no new beginning.
bool GoesOnInKernel(const FlowEvent& event) {
  return (event.flags & CULPRIT_FLOW_REREAD) != 0 ||
         (event.protocol == IPPROTO_TCP && (event.flags & CULPRIT_FLOW_PREEXISTING) != 0 &&
          event.direction != Direction::kListen);
}

bool IsTcp(const Flow& flow) { return flow.protocol == IPPROTO_TCP; }

}  // namespace

Aggregator::Aggregator(const Uuid& boot_id, const Uuid& run_id, const AggregateLimits& limits)
    : boot_id_(boot_id), run_id_(run_id), limits_(limits), process_counters_(limits.max_counters) {}

void Aggregator::OnProcess(ProcessFacts facts) {
  if (processes_.size() >= limits_.max_pending_processes) {
    processes_.pop_front();
    ++counters_.processes_dropped;
    OnLoss(LossCause::kQueueFull, "definitions", counters_.processes_dropped, now_);
  }
  processes_.push_back(std::move(facts));
}

void Aggregator::OnExit(const ExitFacts& exit) {
  process_counters_.Exit(exit.id, counter_rows_);
  if (exits_.size() >= limits_.max_pending_rows) exits_.pop_front();
  exits_.push_back(exit);
}

void Aggregator::OnCounters(const CounterFacts& counters) {
  process_counters_.Put(counters, counter_rows_);
  if (counter_rows_.size() > limits_.max_pending_rows) counter_rows_.pop_front();
}

void Aggregator::OnLoss(LossCause cause, std::string_view source, std::uint64_t count,
                        BootTime at) {
  std::uint64_t& known = loss_sources_[{cause, std::string(source)}];
  if (count <= known) return;
  losses_[cause] += count - known;
  known = count;
  loss_at_ = std::max(loss_at_, at);
}

void Aggregator::OnFlow(const AttributedFlow& attributed) {
  const FlowEvent& event = attributed.event;
  ++counters_.flow_events;
  const FlowId id =
      MakeFlowId(boot_id_, {event.cookie, event.generation, (event.flags & CULPRIT_FLOW_PEER) != 0,
                            event.remote, event.protocol});
  std::uint32_t index = flows_.Find(id);
  if (index == FlowTable::kNone) index = Start(id, event);
  if (index == FlowTable::kNone) return;
  Flow& flow = flows_.at(index);
  const FlowState before = flow.state;
  Merge(flow, event);
  const bool new_owner = Charge(flow, attributed);
  if (memory_ != nullptr && flow.owner.dirty && event.reason != FlowReason::kEnd) {
    memory_->Put({flow.id, flow.owner.process, flow.start, flow.owner.totals});
  }
  Advance(flow, event);
  flow.seen = std::max(flow.seen, event.at);
  if (event.reason == FlowReason::kEnd) return End(index, Later(event.at));
  if (event.reason == FlowReason::kOwner && flow.owner.process == attributed.process &&
      flow.owner_changes < limits_.max_owner_changes && (flow.owner.emitted || flow.owner.dirty)) {
    EmitPart(flow, flow.owner, FlowState::kHandedOver, Lane::kEvidence, Later(event.at));
  }
  const bool outcome = flow.state != before && flow.state != FlowState::kAttempt;
  Schedule(index, outcome || new_owner, event);
}

// kNone: the flow has ended already and the record has nothing to add.
std::uint32_t Aggregator::Start(FlowId id, const FlowEvent& event) {
  const EndedFlows::Entry* ended = ended_.Find(id);
  const bool comes_back = ended != nullptr && event.counted_from > ended->counted_from;
  const bool says_nothing =
      ended != nullptr && (event.at <= ended->ended || (event.reason == FlowReason::kEnd &&
                                                        !AnyLower(ended->totals, event.totals)));
  if (says_nothing && !comes_back) {
    ++counters_.stale_events;
    return FlowTable::kNone;
  }
  if (flows_.size() >= limits_.max_flows) EvictOne(Later(event.at));
  const std::uint32_t index = flows_.Insert(id);
  Flow& flow = flows_.at(index);
  flow.cookie = event.cookie;
  flow.generation = event.generation;
  flow.protocol = event.protocol;
  flow.start = event.start;
  flow.counted_from = event.counted_from;
  if (GoOn(flow, event)) {
    ++counters_.flows_resumed;
  } else if (comes_back) {  // the row of (flow, process) goes on where it was
    flow.owner.process = ended->process;
    flow.owner.totals = ended->totals;
    flow.owner.emitted = true;
    ++counters_.counter_restarts;
  }
  ++counters_.flows_started;
  return index;
}

void Aggregator::Remember(FlowMemory* memory, const std::vector<RememberedPart>& former) {
  memory_ = memory;
  for (const RememberedPart& part : former) former_[part.flow].push_back(part);
}

// The rows of a flow that an agent before this one told of go on where they were. Counters that the
// kernel's own were read into go on as well, all others have begun anew.
bool Aggregator::GoOn(Flow& flow, const FlowEvent& event) {
  const auto found = former_.find(flow.id);
  if (found == former_.end()) return false;
  std::vector<RememberedPart> parts = std::move(found->second);
  former_.erase(found);
  std::sort(parts.begin(), parts.end(),
            [](const auto& a, const auto& b) { return a.order > b.order; });
  if (parts.size() > kMaxParts) parts.resize(kMaxParts);
  const bool reread = GoesOnInKernel(event);
  for (const RememberedPart& part : parts) {
    FlowPart kept;
    kept.process = part.process;
    kept.totals = part.totals;
    kept.emitted = true;
    if (part.start != BootTime{}) flow.start = std::min(flow.start, part.start);
    if (reread) Add(flow.seen_totals, part.totals);
    if (&part == parts.data()) {
      flow.owner = kept;  // the last that was charged
      continue;
    }
    if (flow.former == nullptr) flow.former = std::make_unique<std::vector<FlowPart>>();
    flow.former->push_back(kept);
  }
  return true;
}

void Aggregator::Merge(Flow& flow, const FlowEvent& event) {
  // The tuple is empty at destroy, and the local port is at SYN_SENT.
  if (event.local.port != 0 || !event.local.address.IsUnspecified()) flow.local = event.local;
  if (event.remote.port != 0 || !event.remote.address.IsUnspecified()) flow.remote = event.remote;
  if (event.netns != 0 || (event.flags & CULPRIT_FLOW_KERNEL) != 0) flow.netns = event.netns;
  if (event.start != BootTime{} && (flow.start == BootTime{} || event.start < flow.start)) {
    flow.start = event.start;
  }
  if (event.established != BootTime{}) flow.established = event.established;
  flow.last = std::max(flow.last, event.last);
  if (event.error != 0) flow.error = event.error;
  // The kernel takes some back, as when a process takes a kernel's socket over; shared stays.
  flow.flags = RowFlags(event.flags) | (flow.flags & kFlowFlagShared);
  flow.n_senders = std::max(flow.n_senders, event.n_senders);
  if (event.in_ifindex != 0) flow.in_ifindex = event.in_ifindex;
  if (event.out_ifindex != 0) flow.out_ifindex = event.out_ifindex;
  flow.tcp_state = event.tcp_state;
  if (event.direction == Direction::kListen && flow.direction != Direction::kListen) {
    flow.direction = Direction::kListen;
    flows_.AddListener(flow);
  } else if (event.direction != Direction::kUnknown && flow.direction != Direction::kListen) {
    flow.direction = event.direction;
  }
}

// True if another process is charged from here on.
bool Aggregator::Charge(Flow& flow, const AttributedFlow& attributed) {
  const FlowEvent& event = attributed.event;
  if (attributed.creator != ProcessId{}) flow.creator = attributed.creator;
  if (AnyLower(event.totals, flow.seen_totals)) {
    if (event.counted_from > flow.counted_from && !GoesOnInKernel(event)) {
      ++counters_.counter_restarts;
      flow.seen_totals = {};
    } else {
      ++counters_.stale_events;
    }
  }
  flow.counted_from = std::max(flow.counted_from, event.counted_from);
  const bool first = flow.seen == BootTime{} && !flow.owner.emitted;
  bool changed = false;
  if (first) {
    flow.owner.process = attributed.process;
    flow.owner.is_agent = attributed.is_agent;
  } else if (attributed.process != flow.owner.process && event.at >= flow.seen) {
    changed = ChangeOwner(flow, attributed);
  }
  flow.owner.is_agent =
      flow.owner.is_agent || (attributed.is_agent && attributed.process == flow.owner.process);
  // What moved since the record before belongs to the process that this one names.
  const FlowTotals delta = Raise(flow.seen_totals, event.totals);
  if (delta == FlowTotals{}) return changed;
  Add(flow.owner.totals, delta);
  flow.owner.dirty = true;
  if (flow.first_bytes == BootTime{} && delta.tx_payload_bytes + delta.rx_payload_bytes != 0) {
    // A sweep sees them up to a second late.
    flow.first_bytes = std::max({flow.start, flow.established, event.at - std::chrono::seconds(1)});
  }
  return changed;
}

bool Aggregator::ChangeOwner(Flow& flow, const AttributedFlow& attributed) {
  FlowPart& owner = flow.owner;
  if (owner.process == ProcessId{} && !owner.emitted && attributed.process == attributed.creator) {
    // The creator became known before anything was told, and nobody else had sent.
    owner.process = attributed.process;
    return false;
  }
  if (attributed.process == ProcessId{})
    return false;  // one that cannot be named takes nothing over
  ++flow.owner_changes;
  ++counters_.owner_changes;
  const bool shared = flow.owner_changes > limits_.max_owner_changes;
  if (shared) flow.flags |= kFlowFlagShared;
  if (flow.former == nullptr) flow.former = std::make_unique<std::vector<FlowPart>>();
  std::vector<FlowPart>& former = *flow.former;
  const auto back = std::find_if(former.begin(), former.end(), [&](const FlowPart& part) {
    return part.process == attributed.process;
  });
  if (back == former.end() && former.size() >= kMaxParts) return false;
  const bool told = owner.emitted_state == FlowState::kHandedOver && !owner.dirty;
  const bool nothing = !owner.emitted && owner.totals == FlowTotals{};
  if (!shared && !told && !nothing) {
    EmitPart(flow, owner, FlowState::kHandedOver, Lane::kEvidence, Later(attributed.event.at));
  }
  if (back != former.end()) {
    std::swap(owner, *back);
  } else {
    if (!nothing) former.push_back(owner);
    owner = FlowPart{};
    owner.process = attributed.process;
  }
  owner.is_agent = attributed.is_agent;
  return !shared;
}

void Aggregator::Advance(Flow& flow, const FlowEvent& event) {
  if (flow.direction == Direction::kListen) {
    flow.state = event.reason == FlowReason::kEnd ? FlowState::kClosed : FlowState::kListening;
    return;
  }
  if (flow.direction == Direction::kForwarded) {  // no socket, so no handshake to wait for
    flow.state = event.reason == FlowReason::kEnd ? FlowState::kClosed : FlowState::kOpen;
    return;
  }
  const bool connected = !IsTcp(flow) || flow.established != BootTime{};
  switch (event.reason) {
    case FlowReason::kAttempt:
      if (flow.state == FlowState::kNone) flow.state = FlowState::kAttempt;
      return;
    case FlowReason::kEstablished:
    case FlowReason::kFirst:
      if (!HasFailed(flow.state)) flow.state = FlowState::kOpen;
      return;
    case FlowReason::kSnapshot:
    case FlowReason::kOwner:
      if (HasFailed(flow.state)) return;
      if (connected || (event.tcp_state != kTcpSynSent && event.tcp_state != 0)) {
        flow.state = FlowState::kOpen;
      } else if (flow.state == FlowState::kNone) {
        flow.state = FlowState::kAttempt;
      }
      return;
    case FlowReason::kFailed:
      if (flow.state != FlowState::kOpen) flow.state = FailureOf(event);
      return;
    case FlowReason::kEnd:
      if (HasFailed(flow.state)) return;
      flow.state = (event.flags & (CULPRIT_FLOW_NOT_SENT | CULPRIT_FLOW_ABORTED)) != 0 ||
                           (!connected && NeverOpened(flow))
                       ? FailureOf(event)
                       : FlowState::kClosed;
      return;
  }
}

}  // namespace culprit
