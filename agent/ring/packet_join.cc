// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/packet_join.h"

#include <algorithm>
#include <limits>

namespace culprit {
namespace {

// Packets of a handshake are older than the flow that it makes, and a closed connection's last
// segments younger than its end.
constexpr std::int64_t kSlackNs = 2'000'000'000;
// Of one tuple: ports that are used again, owners that took over.
constexpr std::size_t kMaxEntriesPerTuple = 16;

// How far `t` lies outside of the flow's life.
std::int64_t Outside(const JoinFlow& flow, std::int64_t t) {
  if (t < flow.start_ns) return flow.start_ns - t;
  if (flow.end_ns != 0 && t > flow.end_ns) return t - flow.end_ns;
  return 0;
}

}  // namespace

std::size_t PacketJoin::KeyHash::operator()(const Key& key) const noexcept {
  const std::hash<IpAddress> hash;
  const std::uint64_t rest =
      std::uint64_t{key.local.port} << 24 | std::uint64_t{key.remote.port} << 8 | key.protocol;
  return MixBits(MixBits(hash(key.local.address) ^ rest) ^ hash(key.remote.address));
}

PacketJoin::PacketJoin(const PacketJoinOptions& options) : options_(options) {}

void PacketJoin::Learn(const JoinFlow& flow) {
  const Key key{flow.local, flow.remote, flow.protocol};
  Order& home = flow.end_ns != 0 ? ended_ : live_;
  auto& entries = by_key_[key];
  const auto known = std::find_if(entries.begin(), entries.end(), [&](const auto& e) {
    return e.second->flow.flow == flow.flow && e.second->flow.process == flow.process;
  });
  if (known != entries.end()) {
    known->second->flow = flow;
    known->second->comment = PcapngPacketComment(flow.process, flow.flow, flow.tgid, flow.comm);
    home.splice(home.end(), *known->first, known->second);
    known->first = &home;
    return;
  }
  if (entries.size() >= kMaxEntriesPerTuple) {
    const auto [order, oldest] = entries.front();
    Forget(order, oldest);
  }
  home.push_back({key, flow, PcapngPacketComment(flow.process, flow.flow, flow.tgid, flow.comm)});
  by_key_[key].emplace_back(&home, std::prev(home.end()));
  Evict();
}

void PacketJoin::Evict() {
  while (live_.size() + ended_.size() > options_.max_flows) {
    if (!ended_.empty()) {
      Forget(&ended_, ended_.begin());
    } else {
      Forget(&live_, live_.begin());
      ++stats_.evicted_flows;
    }
  }
}

void PacketJoin::Forget(Order* order, Order::iterator entry) {
  const auto found = by_key_.find(entry->key);
  std::erase_if(found->second, [&](const auto& e) { return e.second == entry; });
  if (found->second.empty()) by_key_.erase(found);
  order->erase(entry);
}

PacketJoin::Ends PacketJoin::EndsOf(const Packet* headers) {
  if (headers == nullptr) return {};
  return {{headers->source, headers->source_port},
          {headers->destination, headers->destination_port},
          headers->protocol,
          true};
}

// The one that was alive then; of several the youngest; within the slack the nearest.
const PacketJoin::Entry* PacketJoin::At(const Key& key, std::int64_t wall_ns) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  const Entry* best = nullptr;
  std::int64_t best_outside = kSlackNs + 1;
  for (const auto& [order, entry] : found->second) {
    const std::int64_t outside = Outside(entry->flow, wall_ns);
    const bool younger = best != nullptr && entry->flow.start_ns >= best->flow.start_ns;
    if (outside < best_outside || (outside == best_outside && younger)) {
      best = &*entry;
      best_outside = outside;
    }
  }
  return best;
}

const PacketJoin::Entry* PacketJoin::AtEitherLocal(Key key, std::int64_t wall_ns) const {
  if (const Entry* entry = At(key, wall_ns); entry != nullptr) return entry;
  key.local.address = {};
  return At(key, wall_ns);
}

const PacketJoin::Entry* PacketJoin::Lookup(const Ends& ends, PacketDirection direction,
                                            std::int64_t wall_ns) const {
  if (!ends.ip || by_key_.empty()) return nullptr;
  if (direction != PacketDirection::kIn) {
    const Entry* sender = AtEitherLocal({ends.source, ends.destination, ends.protocol}, wall_ns);
    if (sender != nullptr || direction == PacketDirection::kOut) return sender;
  }
  return AtEitherLocal({ends.destination, ends.source, ends.protocol}, wall_ns);
}

PacketNames PacketJoin::Find(const Packet& headers, PacketDirection direction,
                             std::int64_t wall_ns) const {
  const Entry* entry = Lookup(EndsOf(&headers), direction, wall_ns);
  if (entry == nullptr) return {};
  return {entry->flow.flow, entry->flow.process, entry->comment};
}

std::vector<JoinFlow> PacketJoin::OpenFlowsOf(ProcessId process) const {
  std::vector<JoinFlow> flows;
  for (const Entry& entry : live_) {
    if (entry.flow.process == process) flows.push_back(entry.flow);
  }
  return flows;
}

PacketJoin::Stream& PacketJoin::StreamOf(const TapPacket& packet) {
  for (Stream& stream : streams_) {
    if (stream.interface == packet.interface && stream.direction == packet.direction) {
      return stream;
    }
  }
  std::erase_if(streams_, [](const Stream& stream) { return stream.held.empty(); });
  return streams_.emplace_back(Stream{packet.interface, packet.direction, {}, {}});
}

// The stream whose first packet is next; null: nothing is held.
PacketJoin::Stream* PacketJoin::Earliest() {
  Stream* first = nullptr;
  std::int64_t first_ns = 0;
  for (Stream& stream : streams_) {
    if (stream.held.empty()) continue;
    const std::int64_t wall_ns = stream.held.front().packet.wall_ns;
    if (first != nullptr && wall_ns >= first_ns) continue;
    first = &stream;
    first_ns = wall_ns;
  }
  return first;
}

void PacketJoin::Hold(const TapPacket& packet, const Packet* headers, std::uint8_t lane,
                      std::chrono::nanoseconds now, const Sink& sink) {
  while (stats_.held_packets > 0 &&
         (stats_.held_packets >= options_.max_packets ||
          stats_.held_bytes + packet.bytes.size() > options_.max_bytes)) {
    ++stats_.released_early;
    ReleaseFirst(Earliest(), sink);
  }
  Stream& stream = StreamOf(packet);
  Held& held = stream.held.emplace_back(Held{packet, EndsOf(headers), lane, now});
  held.packet.bytes = stream.bytes.Push(packet.bytes);
  stats_.held_bytes += packet.bytes.size();
  ++stats_.held_packets;
}

void PacketJoin::ReleaseFirst(Stream* stream, const Sink& sink) {
  const Held& held = stream->held.front();
  const Entry* entry = Lookup(held.ends, held.packet.direction, held.packet.wall_ns);
  JoinedNames joined;
  if (entry != nullptr) joined.names = {entry->flow.flow, entry->flow.process, entry->comment};
  if (held.ends.ip) {
    joined.source = held.ends.source.address;
    joined.destination = held.ends.destination.address;
  }
  ++(entry != nullptr ? stats_.named : stats_.unnamed);
  sink(held.packet, held.lane, joined);
  stats_.held_bytes -= held.packet.bytes.size();
  --stats_.held_packets;
  stream->held.pop_front();
  stream->bytes.PopOldest();
}

void PacketJoin::Release(std::chrono::nanoseconds now, const Sink& sink) {
  for (Stream* first = Earliest(); first != nullptr; first = Earliest()) {
    if (now - first->held.front().arrived < options_.hold) return;
    ReleaseFirst(first, sink);
  }
}

void PacketJoin::ReleaseAll(const Sink& sink) {
  for (Stream* first = Earliest(); first != nullptr; first = Earliest()) {
    ReleaseFirst(first, sink);
  }
}

PacketJoinStats PacketJoin::stats() const {
  PacketJoinStats stats = stats_;
  stats.flows = live_.size() + ended_.size();
  return stats;
}

}  // namespace culprit
