// SPDX-License-Identifier: Apache-2.0
#include "agent/aggregate/flow_table.h"

#include "common/service_port.h"

namespace culprit {

void EndedFlows::Remember(const Flow& flow, BootTime at) {
  entries_[flow.id.value() % kEntries] = {flow.id, flow.owner.process, flow.counted_from, at,
                                          flow.owner.totals};
}

const EndedFlows::Entry* EndedFlows::Find(FlowId id) const {
  const Entry& entry = entries_[id.value() % kEntries];
  return entry.id == id ? &entry : nullptr;
}

std::uint32_t FlowTable::Find(FlowId id) const {
  const auto found = index_.find(id);
  return found == index_.end() ? kNone : found->second;
}

std::uint32_t FlowTable::Insert(FlowId id) {
  std::uint32_t index = slots();
  if (free_.empty()) {
    slab_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  slab_[index].id = id;
  index_[id] = index;
  return index;
}

void FlowTable::Erase(std::uint32_t index) {
  index_.erase(slab_[index].id);
  slab_[index] = Flow{};
  free_.push_back(index);
}

std::uint64_t FlowTable::ListenerKey(const Flow& flow) {
  return (std::uint64_t{flow.netns} << 24) | (std::uint64_t{flow.protocol} << 16) | flow.local.port;
}

void FlowTable::AddListener(const Flow& flow) { ++listeners_[ListenerKey(flow)]; }

void FlowTable::RemoveListener(const Flow& flow) {
  const auto found = listeners_.find(ListenerKey(flow));
  if (found != listeners_.end() && --found->second == 0) listeners_.erase(found);
}

Direction FlowTable::DirectionByPorts(const Flow& flow) const {
  const std::uint16_t local = flow.local.port;
  const std::uint16_t remote = flow.remote.port;
  if (listeners_.contains(ListenerKey(flow))) return Direction::kIn;
  if (local == 0 || remote == 0) return Direction::kUnknown;
  if (ServesByPorts(local, remote)) return Direction::kIn;
  return ServesByPorts(remote, local) ? Direction::kOut : Direction::kUnknown;
}

}  // namespace culprit
