// SPDX-License-Identifier: Apache-2.0
#include "agent/aggregate/coverage.h"

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

std::uint64_t Minus(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

void Add(TrafficFacts& to, const TrafficFacts& more) {
  for (std::size_t c = 0; c < CULPRIT_CLASS_COUNT; ++c) {
    to.bytes[c] += more.bytes[c];
    to.packets[c] += more.packets[c];
  }
  to.interface_bytes += more.interface_bytes;
  to.interface_packets += more.interface_packets;
}

}  // namespace

void Coverage::Begin(Entry& entry, const InterfaceEvent& ledger) const {
  const auto before = former_devices_.find({ledger.netns, ledger.name});
  if (before != former_devices_.end()) {
    entry.device_base = entry.device = before->second;  // the ledger had nothing of it then
    return;
  }
  entry.tx_base = ledger.tx;
  entry.rx_base = ledger.rx;
}

void Coverage::On(const InterfaceEvent& ledger) {
  if (since_ == BootTime{}) since_ = ledger.at;
  read_ = ledger.at;
  news_ = true;
  const Key key{ledger.netns, ledger.ifindex};
  if (entries_.size() >= kMaxDevices && !entries_.contains(key)) return;
  const auto [it, created] = entries_.try_emplace(key);
  Entry& entry = it->second;
  if (created) Begin(entry, ledger);
  if (created || !(entry.now.tx == ledger.tx && entry.now.rx == ledger.rx))
    entry.changed = ledger.at;
  entry.now = ledger;
  entry.fresh = true;
  entry.readable = false;
}

// An index is not used twice, a name is: the one that moves now is the one that the device's
// counters are of.
Coverage::Entry* Coverage::EntryOf(const DeviceKey& key) {
  Entry* found = nullptr;
  for (auto it = entries_.lower_bound({key.first, 0});
       it != entries_.end() && it->first.first == key.first; ++it) {
    Entry& entry = it->second;
    if (!entry.fresh || it->first.second == 0 || entry.now.name != key.second) continue;
    if (found == nullptr || entry.changed >= found->changed) found = &entry;
  }
  return found;
}

void Coverage::On(const InterfaceCountersEvent& event) {
  DeviceKey key{event.netns, event.name};
  if (devices_.size() >= kMaxDevices && !devices_.contains(key)) return;
  const Device device{event.tx_bytes, event.tx_packets, event.rx_bytes, event.rx_packets};
  if (Entry* entry = EntryOf(key); entry != nullptr) Observe(*entry, device);
  devices_[std::move(key)] = device;
}

void Coverage::Observe(Entry& entry, const Device& device) {
  const bool back = entry.device && (device.tx_bytes < entry.device->tx_bytes ||
                                     device.rx_bytes < entry.device->rx_bytes ||
                                     device.tx_packets < entry.device->tx_packets ||
                                     device.rx_packets < entry.device->rx_packets);
  if (back) {  // what passed since the reading before is on neither side
    Add(entry.tx_before, Sum(entry, entry.tx_read, true));
    Add(entry.rx_before, Sum(entry, entry.rx_read, false));
  }
  if (back || !entry.device_base) {
    entry.device_base = device;
    entry.tx_base = entry.now.tx;
    entry.rx_base = entry.now.rx;
  }
  entry.device = device;
  entry.tx_read = entry.now.tx;
  entry.rx_read = entry.now.rx;
  entry.readable = true;
}

// Of the present base, with the ledger at `now`.
TrafficFacts Coverage::Sum(const Entry& entry, const LedgerTotals& now, bool tx) {
  const LedgerTotals& base = tx ? entry.tx_base : entry.rx_base;
  const bool wire = entry.now.hardware;
  TrafficFacts sum;
  for (std::size_t c = 0; c < CULPRIT_CLASS_COUNT; ++c) {
    sum.bytes[c] = wire ? Minus(now.wire_bytes[c], base.wire_bytes[c])
                        : Minus(now.skb_bytes[c], base.skb_bytes[c]);
    sum.packets[c] = Minus(now.packets[c], base.packets[c]);
  }
  if (!entry.device) return sum;
  const auto bytes = tx ? &Device::tx_bytes : &Device::rx_bytes;
  const auto packets = tx ? &Device::tx_packets : &Device::rx_packets;
  sum.interface_packets = Minus((*entry.device).*packets, (*entry.device_base).*packets);
  sum.interface_bytes = Minus(Minus((*entry.device).*bytes, (*entry.device_base).*bytes),
                              sum.interface_packets * entry.now.header_len);
  return sum;
}

std::optional<CoverageFacts> Coverage::Take(BootTime now) {
  if (!std::exchange(news_, false)) return std::nullopt;
  CoverageFacts facts;
  facts.at = std::max(now, read_);
  facts.since = since_;
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    if (!std::exchange(entry.fresh, false)) {
      it = entries_.erase(it);
      continue;
    }
    InterfaceFacts interface {
      it->first.first, it->first.second, entry.now.name, entry.now.hardware, entry.readable,
          entry.tx_before, entry.rx_before
    };
    Add(interface.tx, Sum(entry, entry.now.tx, true));
    Add(interface.rx, Sum(entry, entry.now.rx, false));
    if (!(interface.tx == TrafficFacts{} && interface.rx == TrafficFacts{})) {
      facts.interfaces.push_back(std::move(interface));
    }
    ++it;
  }
  former_devices_ = std::exchange(devices_, {});
  return facts;
}

}  // namespace culprit
