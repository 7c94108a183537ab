// SPDX-License-Identifier: Apache-2.0
#include "agent/assemble/flow_assembler.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

namespace culprit {
namespace {

constexpr std::size_t kMaxFragmentPairs = 4'096;
constexpr std::uint16_t kWellKnown = 1'024;

bool HasAny(const Packet& packet, std::uint8_t flags) { return (packet.tcp_flags & flags) != 0; }
bool OpensConnection(const Packet& packet) {
  return packet.protocol == IPPROTO_TCP && HasAny(packet, kTcpSyn) && !HasAny(packet, kTcpAck);
}

culprit_outcome OutcomeOf(std::int32_t error) {
  switch (error) {
    case 0:
      return CULPRIT_OUTCOME_OK;
    case ECONNREFUSED:
      return CULPRIT_OUTCOME_REFUSED;
    case ETIMEDOUT:
      return CULPRIT_OUTCOME_TIMED_OUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
      return CULPRIT_OUTCOME_UNREACHABLE;
    case EACCES:
      return CULPRIT_OUTCOME_DENIED;
    default:
      return CULPRIT_OUTCOME_OTHER;
  }
}

// What the stack makes of an ICMP error about a connection attempt (Linux net/ipv4/icmp.c,
// icmp_err_convert).
std::int32_t ErrnoOf(const Packet& icmp) {
  if (icmp.protocol == IPPROTO_ICMPV6) {
    if (icmp.icmp_type == 3) return EHOSTUNREACH;
    if (icmp.icmp_type != 1) return 0;
    return icmp.icmp_code == 4 ? ECONNREFUSED : icmp.icmp_code == 1 ? EACCES : EHOSTUNREACH;
  }
  if (icmp.icmp_type == 11) return EHOSTUNREACH;
  if (icmp.icmp_type != 3) return 0;
  switch (icmp.icmp_code) {
    case 0:
      return ENETUNREACH;
    case 3:
      return ECONNREFUSED;
    default:
      return EHOSTUNREACH;
  }
}

BootTime WholeSecond(BootTime t) { return std::chrono::ceil<std::chrono::seconds>(t); }

}  // namespace

FlowAssembler::FlowAssembler(LocalHosts& hosts, const AssembleLimits& limits, Sink sink)
    : hosts_(hosts), limits_(limits), sink_(std::move(sink)) {}

void FlowAssembler::On(const Packet& captured, BootTime at, const ProcessKey* owner,
                       const Packet* quoted) {
  ++counters_.packets;
  counters_.ip_bytes += captured.ip_bytes;
  if (quoted != nullptr) OnError(captured, *quoted, at);
  const Packet packet =
      captured.fragment || captured.first_fragment ? PlaceFragment(captured) : captured;
  const Endpoint from{packet.source, packet.source_port};
  const Endpoint to{packet.destination, packet.destination_port};
  const Key key = from < to ? Key{from, to, packet.protocol} : Key{to, from, packet.protocol};
  const auto known = index_.find(key);
  Tracked* flow = known == index_.end() ? nullptr : &slab_[known->second];
  const bool again = flow != nullptr && flow->phase != Phase::kAttempt && OpensConnection(packet) &&
                     packet.tcp_seq != flow->first_seq;
  if (again) {
    End(known->second, at);
    flow = nullptr;
  }
  if (flow == nullptr) flow = &Begin(packet, key, at, owner);
  const int way = flow->ends[0] == from ? 0 : 1;
  Count(*flow, way, packet, at);
  Advance(*flow, way, packet, at);
}

// Ports are in the first fragment alone; the others follow it closely.
Packet FlowAssembler::PlaceFragment(const Packet& captured) {
  Packet packet = captured;
  const auto pair = std::tuple(packet.source, packet.destination, packet.protocol);
  if (!packet.fragment) {
    if (fragments_.size() >= kMaxFragmentPairs) fragments_.clear();
    fragments_[pair] = {packet.source_port, packet.destination_port};
  } else if (const auto ports = fragments_.find(pair); ports != fragments_.end()) {
    std::tie(packet.source_port, packet.destination_port) = ports->second;
  } else {
    ++counters_.fragments_without_flow;
  }
  return packet;
}

// Which end of the packet began the flow: 0 its source, 1 its destination.
int FlowAssembler::InitiatorOf(const Packet& packet, bool opening) {
  if (opening) return 0;
  if (packet.protocol == IPPROTO_TCP && HasAny(packet, kTcpSyn)) return 1;  // SYN with ACK
  const bool from_service =
      packet.source_port < kWellKnown && packet.destination_port >= kWellKnown;
  if (packet.protocol == IPPROTO_TCP) {
    return from_service || (packet.destination_port >= kWellKnown &&
                            packet.source_port < packet.destination_port)
               ? 1
               : 0;
  }
  return packet.protocol == IPPROTO_UDP && from_service && packet.source_port != 0 ? 1 : 0;
}

void FlowAssembler::Watch(Tracked& flow, int view, BootTime at, const ProcessKey* owner) {
  View& watched = flow.views[static_cast<std::size_t>(view)];
  std::optional<ExecEvent> started;
  watched.owner = owner != nullptr ? *owner
                                   : hosts_.ProcessOf(flow.ends[static_cast<std::size_t>(view)],
                                                      flow.key.protocol, at, &started);
  if (started) sink_(*std::move(started));
  watched.activity = &ActivityOf(watched.owner);
}

FlowAssembler::Tracked& FlowAssembler::Begin(const Packet& packet, const Key& key, BootTime at,
                                             const ProcessKey* owner) {
  if (index_.size() >= limits_.max_flows) EvictOldest(at);
  std::uint32_t slot = static_cast<std::uint32_t>(slab_.size());
  if (free_.empty()) {
    slab_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
    slab_[slot] = Tracked{};
  }
  index_[key] = slot;
  Tracked& flow = slab_[slot];
  flow.key = key;
  flow.slot = slot;
  flow.number = next_number_++;
  flow.start = flow.last = at;
  ++counters_.flows;
  by_age_.emplace_back(flow.number, slot);
  const bool opening = OpensConnection(packet);
  const int initiator = InitiatorOf(packet, opening);
  const Endpoint from{packet.source, packet.source_port};
  const Endpoint to{packet.destination, packet.destination_port};
  flow.ends = initiator == 0 ? std::array{from, to} : std::array{to, from};
  const bool handshake = packet.protocol == IPPROTO_TCP && HasAny(packet, kTcpSyn);
  flow.preexisting = packet.protocol == IPPROTO_TCP && !handshake;
  flow.phase = opening ? Phase::kAttempt : Phase::kOpen;
  flow.first_seq = packet.tcp_seq;
  const bool local[2] = {hosts_.IsLocal(flow.ends[0].address),
                         hosts_.IsLocal(flow.ends[1].address)};
  if (local[0] || !local[1]) Watch(flow, 0, at, owner);
  if (local[1]) Watch(flow, 1, at, owner);
  if (View& began = flow.views[0]; opening) {
    if (began.activity != nullptr) {
      began.first_contact = began.activity->OnAttempt(flow.ends[1], at);
    }
    Emit(flow, FlowReason::kAttempt, at);
  } else if (packet.protocol == IPPROTO_TCP) {
    Establish(flow, at);
  } else {
    if (began.activity != nullptr) began.activity->OnFirstDatagram(flow.ends[1], at);
    Emit(flow, FlowReason::kFirst, at);
  }
  Arm(slot, at + (opening                          ? limits_.syn_wait
                  : packet.protocol == IPPROTO_TCP ? limits_.stream_idle
                                                   : limits_.datagram_idle));
  return flow;
}

void FlowAssembler::Count(Tracked& flow, int way, const Packet& packet, BootTime at) {
  Way& counts = flow.ways[static_cast<std::size_t>(way)];
  ++counts.packets;
  counts.ip_bytes += packet.ip_bytes;
  flow.last = std::max(flow.last, at);
  if (packet.protocol != IPPROTO_TCP) {
    counts.payload += packet.payload_bytes;
  } else if (packet.payload_bytes > 0) {
    const std::uint32_t end = packet.tcp_seq + packet.payload_bytes;
    const auto ahead = static_cast<std::int32_t>(end - counts.next_seq);
    const std::uint32_t fresh =
        !counts.seq_known ? packet.payload_bytes
        : ahead <= 0      ? 0
                          : std::min(static_cast<std::uint32_t>(ahead), packet.payload_bytes);
    counts.payload += fresh;
    counts.repeated += packet.payload_bytes - fresh;
    if (fresh > 0) counts.next_seq = end;
    counts.seq_known = true;
  }
  for (int view = 0; view < 2; ++view) {
    const View& watched = flow.views[static_cast<std::size_t>(view)];
    if (watched.activity != nullptr) {
      watched.activity->OnPackets(way == view, view == 0, 1, packet.ip_bytes);
    }
  }
  if (!flow.dirty) {
    flow.dirty = true;
    dirty_.push_back(flow.slot);
  }
}

void FlowAssembler::Advance(Tracked& flow, int way, const Packet& packet, BootTime at) {
  if (packet.protocol != IPPROTO_TCP) return;
  if (flow.phase == Phase::kAttempt) {
    if (way == 1 && HasAny(packet, kTcpRst)) return Fail(flow, ECONNREFUSED, at);
    if (way == 1) return Establish(flow, at);
    if (HasAny(packet, kTcpRst)) {
      flow.aborted = true;
      return Fail(flow, 0, at);
    }
    if (!HasAny(packet, kTcpSyn)) Establish(flow, at);  // the answer was not captured
    return;
  }
  if (flow.phase != Phase::kOpen) return;
  if (HasAny(packet, kTcpFin)) flow.ways[static_cast<std::size_t>(way)].fin = true;
  if (HasAny(packet, kTcpRst) || (flow.ways[0].fin && flow.ways[1].fin)) {
    flow.phase = Phase::kClosing;
    Arm(flow.slot, at + limits_.close_wait);
  }
}

void FlowAssembler::Establish(Tracked& flow, BootTime at) {
  const bool attempt = std::exchange(flow.phase, Phase::kOpen) == Phase::kAttempt;
  flow.established = at;
  if (const View& began = flow.views[0]; attempt && began.activity != nullptr) {
    began.activity->OnOutcome(CULPRIT_OUTCOME_OK, began.first_contact);
  }
  if (const View& met = flow.views[1]; met.activity != nullptr && !flow.preexisting) {
    met.activity->OnAccept();
  }
  Emit(flow, flow.preexisting ? FlowReason::kSnapshot : FlowReason::kEstablished, at);
}

void FlowAssembler::Fail(Tracked& flow, std::int32_t error, BootTime at) {
  FailAttempt(flow, error, at);
  Arm(flow.slot, at + limits_.close_wait);
}

void FlowAssembler::FailAttempt(Tracked& flow, std::int32_t error, BootTime at) {
  flow.phase = Phase::kClosing;
  flow.error = error;
  if (const View& began = flow.views[0]; began.activity != nullptr) {
    began.activity->OnOutcome(flow.aborted ? CULPRIT_OUTCOME_ABORTED : OutcomeOf(error),
                              began.first_contact);
  }
  Emit(flow, FlowReason::kFailed, at);
}

void FlowAssembler::OnError(const Packet& packet, const Packet& quoted, BootTime at) {
  const Endpoint from{quoted.source, quoted.source_port};
  const Endpoint to{quoted.destination, quoted.destination_port};
  const auto known =
      index_.find(from < to ? Key{from, to, quoted.protocol} : Key{to, from, quoted.protocol});
  if (known == index_.end()) return;
  Tracked& flow = slab_[known->second];
  const std::int32_t error = ErrnoOf(packet);
  if (flow.phase == Phase::kAttempt && flow.ends[0] == from && error != 0) Fail(flow, error, at);
}

void FlowAssembler::Arm(std::uint32_t slot, BootTime due) {
  const BootTime second = WholeSecond(due);
  slab_[slot].due = second;
  timers_[second].push_back(slot);
}

// A timer that came due: the flow may have moved since it was set.
void FlowAssembler::Expire(std::uint32_t slot, BootTime now) {
  Tracked& flow = slab_[slot];
  switch (flow.phase) {
    case Phase::kOver:
      return;
    case Phase::kClosing:
      return End(slot, now);
    case Phase::kAttempt:
      if (flow.last + limits_.syn_wait > now) return Arm(slot, flow.last + limits_.syn_wait);
      return Fail(flow, ETIMEDOUT, now);
    case Phase::kOpen:
      break;
  }
  const auto idle = flow.key.protocol == IPPROTO_TCP ? limits_.stream_idle : limits_.datagram_idle;
  if (flow.last + idle > now) return Arm(slot, flow.last + idle);
  End(slot, now);
}

void FlowAssembler::End(std::uint32_t slot, BootTime at) {
  Tracked& flow = slab_[slot];
  if (flow.phase == Phase::kAttempt) Fail(flow, ETIMEDOUT, at);
  flow.phase = Phase::kOver;
  flow.due = BootTime();
  Emit(flow, FlowReason::kEnd, at);
  index_.erase(flow.key);
  free_.push_back(slot);
}

void FlowAssembler::EvictOldest(BootTime at) {
  while (!by_age_.empty()) {
    const auto [number, slot] = by_age_.front();
    by_age_.pop_front();
    if (slab_[slot].number != number || slab_[slot].phase == Phase::kOver) continue;
    ++counters_.flows_evicted;
    return End(slot, at);
  }
}

void FlowAssembler::Tick(BootTime now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto [second, slots] = *timers_.begin();
    timers_.erase(timers_.begin());
    for (const std::uint32_t slot : slots) {
      if (slab_[slot].due == second) Expire(slot, now);
    }
  }
  for (const std::uint32_t slot : std::exchange(dirty_, {})) {
    Tracked& flow = slab_[slot];
    flow.dirty = false;
    if (flow.phase != Phase::kOver) Emit(flow, FlowReason::kSnapshot, now);
  }
  while (!by_age_.empty() && (slab_[by_age_.front().second].number != by_age_.front().first ||
                              slab_[by_age_.front().second].phase == Phase::kOver)) {
    by_age_.pop_front();
  }
  CountersEvent counters;
  for (auto& [key, activity] : activity_) {
    if (activity.Take(now, &counters)) sink_(counters);
  }
}

void FlowAssembler::Finish(BootTime now) {
  for (std::uint32_t slot = 0; slot < slab_.size(); ++slot) {
    if (slab_[slot].phase == Phase::kClosing) End(slot, now);
  }
  Tick(now);
}

ProcessActivity& FlowAssembler::ActivityOf(const ProcessKey& key) {
  const auto known = activity_.find(key);
  return known != activity_.end() ? known->second
                                  : activity_.try_emplace(key, key, std::string()).first->second;
}

FlowEvent FlowAssembler::EventOf(const Tracked& flow, int view, FlowReason reason,
                                 BootTime at) const {
  const auto own = static_cast<std::size_t>(view), other = std::size_t{1} - own;
  const Way &sent = flow.ways[own], &got = flow.ways[other];
  FlowEvent event;
  event.at = at;
  event.reason = reason;
  event.owner = event.creator = flow.views[own].owner;
  event.cookie = SocketCookie(flow.number * 2 + own);
  event.start = event.counted_from = flow.start;
  event.established = flow.established;
  event.last = flow.last;
  event.totals.tx_wire_bytes = event.totals.tx_skb_bytes = sent.ip_bytes;
  event.totals.rx_wire_bytes = event.totals.rx_skb_bytes = got.ip_bytes;
  event.totals.tx_packets = sent.packets;
  event.totals.rx_packets = got.packets;
  event.totals.tx_payload_bytes = sent.payload;
  event.totals.rx_payload_bytes = got.payload;
  event.totals.retransmitted_bytes = sent.repeated;
  event.local = flow.ends[own];
  event.remote = flow.ends[other];
  event.protocol = flow.key.protocol;
  event.direction = own == 0 ? Direction::kOut : Direction::kIn;
  if (flow.key.protocol == IPPROTO_TCP) {
    event.tcp_state = flow.phase == Phase::kAttempt ? 2 : flow.phase == Phase::kOpen ? 1 : 7;
  }
  event.flags = (flow.preexisting ? CULPRIT_FLOW_PREEXISTING : 0U) |
                (flow.aborted ? CULPRIT_FLOW_ABORTED : 0U);
  event.error = flow.error;
  event.uid = kNoUid;
  return event;
}

void FlowAssembler::Emit(const Tracked& flow, FlowReason reason, BootTime at) {
  for (int view = 0; view < 2; ++view) {
    if (flow.views[static_cast<std::size_t>(view)].activity != nullptr) {
      sink_(EventOf(flow, view, reason, at));
    }
  }
}

}  // namespace culprit
