// SPDX-License-Identifier: Apache-2.0
#include "agent/names/flow_table.h"

#include <cstring>

namespace culprit {

std::size_t DirectionOf(const Packet& packet) {
  if (packet.source != packet.destination) return packet.source < packet.destination ? 0 : 1;
  return packet.source_port < packet.destination_port ? 0 : 1;
}

NameFlowKey KeyOf(const Packet& packet) {
  const bool forward = DirectionOf(packet) == 0;
  const IpAddress& low = forward ? packet.source : packet.destination;
  const IpAddress& high = forward ? packet.destination : packet.source;
  const std::uint16_t ports[] = {forward ? packet.source_port : packet.destination_port,
                                 forward ? packet.destination_port : packet.source_port};
  NameFlowKey key;
  std::memcpy(key.data(), low.bytes().data(), 16);
  std::memcpy(key.data() + 16, high.bytes().data(), 16);
  std::memcpy(key.data() + 32, ports, sizeof(ports));
  key[36] = static_cast<char>(packet.protocol);
  return key;
}

std::size_t NameFlow::held() const {
  std::size_t sum = quic ? sizeof(QuicInitials) + quic->held() : 0;
  for (const StreamDirection& d : direction)
    sum += d.head ? sizeof(StreamHead) + d.head->held() : 0;
  return sum;
}

void NameFlow::Decide() {
  decided = true;
  quic.reset();
  for (StreamDirection& d : direction) d.head.reset();
}

bool NameFlowTable::IsIdle(const NameFlow& flow, std::int64_t at_ns) const {
  std::int64_t silent = 0;
  if (at_ns <= flow.last_ns) return false;  // captures may step back
  return __builtin_sub_overflow(at_ns, flow.last_ns, &silent) || silent > idle_ns_;
}

void NameFlowTable::DropOldest() {
  const NameFlow& oldest = flows_.back();
  if (oldest.held() > 0) ++undecided_dropped_;
  bytes_ -= oldest.held();
  index_.erase(oldest.key);
  flows_.pop_back();
}

NameFlow* NameFlowTable::Find(const NameFlowKey& key, std::int64_t at_ns) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  NameFlow& flow = *found->second;
  if (IsIdle(flow, at_ns)) {  // the same addresses and ports, used again
    const std::size_t before = flow.held();
    if (before > 0) ++undecided_dropped_;
    NameFlow fresh;
    fresh.key = key;
    flow = std::move(fresh);
    Account(flow, before);
  }
  flow.last_ns = at_ns;
  flows_.splice(flows_.begin(), flows_, found->second);
  while (bytes_ > max_bytes_ && flows_.size() > 1) DropOldest();
  return &flow;
}

NameFlow& NameFlowTable::FindOrAdd(const NameFlowKey& key, std::int64_t at_ns) {
  if (NameFlow* flow = Find(key, at_ns)) return *flow;
  while (!flows_.empty() &&
         (flows_.size() >= max_flows_ || bytes_ > max_bytes_ || IsIdle(flows_.back(), at_ns))) {
    DropOldest();
  }
  NameFlow& flow = flows_.emplace_front();
  flow.key = key;
  flow.last_ns = at_ns;
  index_.emplace(key, flows_.begin());
  return flow;
}

}  // namespace culprit
