// SPDX-License-Identifier: Apache-2.0
// Sets what the hooks counted on each interface beside what the interface itself counted.
//
// Stage: aggregate. Pure. Thread: one caller. Failure: none; bounded by the ledger and by
// kMaxDevices. Both sides come cumulative from different beginnings (the load of the programs, the
// making of the device), so the first reading of both together is the base of each. A device
// counter that goes back (the interface was made anew) or an interface under another index begins a
// new base; what was counted before it stays in the sum.
#ifndef CULPRIT_AGENT_AGGREGATE_COVERAGE_H_
#define CULPRIT_AGENT_AGGREGATE_COVERAGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "agent/model/event.h"
#include "agent/model/record.h"
#include "common/time.h"

namespace culprit {

class Coverage {
 public:
  static constexpr std::size_t kMaxDevices = 4'096;

  // One reading is a call of On() for each ledger entry, then for each device of the namespaces in
  // it.
  void On(const InterfaceEvent& ledger);
  void On(const InterfaceCountersEvent& device);

  // The sums as of the last reading; nullopt if none came since the last call. Interfaces without
  // any traffic are left out. Entries that the reading did not have are forgotten.
  std::optional<CoverageFacts> Take(BootTime now);

 private:
  struct Device {
    std::uint64_t tx_bytes = 0, tx_packets = 0, rx_bytes = 0, rx_packets = 0;
  };
  struct Entry {
    InterfaceEvent now;
    LedgerTotals tx_base, rx_base, tx_read, rx_read;  // read: when the device was read last
    std::optional<Device> device_base, device;        // nullopt: not read yet
    TrafficFacts tx_before, rx_before;                // of former bases
    BootTime changed;                                 // last reading in which the ledger grew
    bool fresh = false, readable = false;             // in this reading
  };
  using Key = std::pair<std::uint32_t, std::uint32_t>;      // netns, ifindex
  using DeviceKey = std::pair<std::uint32_t, std::string>;  // netns, name

  static TrafficFacts Sum(const Entry& entry, const LedgerTotals& now, bool tx);
  static void Observe(Entry& entry, const Device& device);
  void Begin(Entry& entry, const InterfaceEvent& ledger) const;
  Entry* EntryOf(const DeviceKey& key);

  std::map<Key, Entry> entries_;
  std::map<DeviceKey, Device> devices_,
      former_devices_;  // of this reading and the one before, in the ledger or not
  BootTime since_;
  BootTime read_;  // the newest reading, which may be later than the beat that asked for it
  bool news_ = false;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGGREGATE_COVERAGE_H_
