// SPDX-License-Identifier: Apache-2.0
// The open flows: a slab of fixed entries and an index by flow id. Knows nothing of when to emit.
// Stage: aggregate. Pure. Thread: one caller. References stay valid until the entry is erased.
#ifndef CULPRIT_AGENT_AGGREGATE_FLOW_TABLE_H_
#define CULPRIT_AGENT_AGGREGATE_FLOW_TABLE_H_

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/record.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/time.h"

namespace culprit {

// What one process is charged of a flow.
struct FlowPart {
  ProcessId process;
  FlowTotals totals;
  bool is_agent = false;
  bool dirty = false;    // changed since its last row
  bool emitted = false;  // a row is out
  FlowState emitted_state = FlowState::kNone;
};

struct Flow {
  FlowId id;  // 0: free slot
  SocketCookie cookie;
  std::uint32_t generation = 0;
  std::uint32_t netns = 0;
  std::uint32_t in_ifindex = 0, out_ifindex = 0;  // forwarded flows only
  ProcessId creator;
  Endpoint local, remote;
  std::uint8_t protocol = 0;
  std::uint8_t tcp_state = 0;
  Direction direction = Direction::kUnknown;
  FlowState state = FlowState::kNone;
  std::int32_t error = 0;
  std::uint32_t flags = 0;  // kFlowFlag*
  std::uint32_t n_senders = 1;
  std::uint32_t owner_changes = 0;
  BootTime start, established, last, counted_from;
  BootTime seen;                                  // time of the newest record
  BootTime first_bytes;                           // about when payload first moved; zero: not yet
  FlowTotals seen_totals;                         // of the record with the highest counters
  FlowPart owner;                                 // who is charged now
  std::unique_ptr<std::vector<FlowPart>> former;  // most flows have one owner
  BootTime due;                                   // zero: no timer
  BootTime emitted;                               // last row; zero: none
  std::uint64_t emitted_bytes = 0;
  bool first_bytes_told = false;  // the row that follows the first bytes is out
  bool outcome_due = false;       // the row that is due says something new: evidence lane
};

// Flows that ended lately, so that a record that comes late does not open one again, and so that a
// peer of an unconnected socket that comes back goes on from its former counters. Direct-mapped: a
// collision forgets the older.
class EndedFlows {
 public:
  struct Entry {
    FlowId id;
    ProcessId process;
    BootTime counted_from;
    BootTime ended;
    FlowTotals totals;
  };
  void Remember(const Flow& flow, BootTime at);
  const Entry* Find(FlowId id) const;

 private:
  static constexpr std::size_t kEntries = 2'048;
  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

class FlowTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffffU;

  std::uint32_t Find(FlowId id) const;
  // A fresh entry for an id that is not there.
  std::uint32_t Insert(FlowId id);
  void Erase(std::uint32_t index);
  Flow& at(std::uint32_t index) { return slab_[index]; }
  // Index bound of the slab, free slots included.
  std::uint32_t slots() const { return static_cast<std::uint32_t>(slab_.size()); }
  std::size_t size() const { return index_.size(); }

  // Ports that sockets of a namespace listen on, for flows whose direction the kernel did not see.
  void AddListener(const Flow& flow);
  void RemoveListener(const Flow& flow);
  Direction DirectionByPorts(const Flow& flow) const;

 private:
  static std::uint64_t ListenerKey(const Flow& flow);

  std::deque<Flow> slab_;
  std::vector<std::uint32_t> free_;
  absl::flat_hash_map<FlowId, std::uint32_t, std::hash<FlowId>> index_;  // an id is a hash
  absl::flat_hash_map<std::uint64_t, std::uint32_t> listeners_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGGREGATE_FLOW_TABLE_H_
