// SPDX-License-Identifier: Apache-2.0
#include "agent/aggregate/counter_table.h"

#include <algorithm>

namespace culprit {
namespace {

constexpr std::chrono::nanoseconds kFast = std::chrono::seconds(1);
constexpr std::chrono::nanoseconds kSlow = std::chrono::seconds(10);
constexpr std::chrono::nanoseconds kForget = std::chrono::minutes(1);

constexpr std::uint64_t Activity::*kCumulative[] = {&Activity::first_contacts,
                                                    &Activity::first_contacts_ok,
                                                    &Activity::first_contacts_failed,
                                                    &Activity::initiated_tx_wire_bytes,
                                                    &Activity::initiated_rx_wire_bytes,
                                                    &Activity::accepted_tx_wire_bytes,
                                                    &Activity::accepted_rx_wire_bytes,
                                                    &Activity::raw_packets,
                                                    &Activity::raw_bytes,
                                                    &Activity::link_packets,
                                                    &Activity::link_bytes,
                                                    &Activity::bare_syns};

// Cumulative: an older record that comes late must not take anything back.
void TakeHigher(CounterFacts& to, const CounterFacts& from) {
  const auto raise = [](std::uint64_t& a, std::uint64_t b) { a = std::max(a, b); };
  to.at = std::max(to.at, from.at);
  raise(to.tcp_attempts, from.tcp_attempts);
  for (std::size_t i = 0; i < to.outcome.size(); ++i) raise(to.outcome[i], from.outcome[i]);
  raise(to.accepts, from.accepts);
  raise(to.tx_wire_bytes, from.tx_wire_bytes);
  raise(to.rx_wire_bytes, from.rx_wire_bytes);
  raise(to.tx_packets, from.tx_packets);
  raise(to.rx_packets, from.rx_packets);
  raise(to.suppressed_flows, from.suppressed_flows);
  Activity& a = to.activity;
  const Activity& b = from.activity;
  for (const auto field : kCumulative) raise(a.*field, b.*field);
  // The estimates are of one window: the newest counts, and within one they only grow.
  if (b.window > a.window) {
    a.window = b.window;
    a.window_addresses = b.window_addresses;
    a.window_ports = b.window_ports;
  } else if (b.window == a.window) {
    raise(a.window_addresses, b.window_addresses);
    raise(a.window_ports, b.window_ports);
  }
}

// What says that a process reaches out, beyond bytes on what it has open.
std::uint64_t ReachingOut(const CounterFacts& facts) {
  const Activity& activity = facts.activity;
  return facts.tcp_attempts + activity.first_contacts + activity.bare_syns + activity.raw_packets +
         activity.link_packets;
}

}  // namespace

void CounterTable::Put(const CounterFacts& counters, std::deque<CounterFacts>& out) {
  const auto found = entries_.find(counters.process);
  if (found == entries_.end()) {
    if (entries_.size() >= max_) {
      out.push_back(counters);
      return;
    }
    Entry entry;
    entry.last = counters;
    entry.dirty = true;
    entries_.emplace(counters.process, entry);
    return;
  }
  Entry& entry = found->second;
  const BootTime at = entry.last.at;
  CounterFacts merged = entry.last;
  TakeHigher(merged, counters);
  merged.at = at;
  const bool changed = !(merged == entry.last);
  merged.at = std::max(at, counters.at);
  entry.last = merged;
  entry.dirty = entry.dirty || changed;
}

bool CounterTable::Due(const Entry& entry, BootTime now) const {
  if (!entry.dirty) return false;
  if (entry.sent == BootTime{}) return true;
  const bool active = ReachingOut(entry.last) != entry.sent_reaching_out;
  return now - entry.sent >= (active ? kFast : kSlow);
}

void CounterTable::Tick(BootTime now, std::deque<CounterFacts>& out) {
  if (scanned_ != BootTime{} && now - scanned_ < kFast) return;
  scanned_ = now;
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    if (!entry.dirty && entry.sent != BootTime{} && now - entry.sent > kForget) {
      it = entries_.erase(it);
      continue;
    }
    if (Due(entry, now)) {
      out.push_back(entry.last);
      entry.sent = now;
      entry.sent_reaching_out = ReachingOut(entry.last);
      entry.dirty = false;
    }
    ++it;
  }
}

void CounterTable::Exit(ProcessId process, std::deque<CounterFacts>& out) {
  const auto found = entries_.find(process);
  if (found == entries_.end()) return;
  if (found->second.dirty) out.push_back(found->second.last);
  entries_.erase(found);
}

void CounterTable::Flush(std::deque<CounterFacts>& out) {
  for (auto& [process, entry] : entries_) {
    if (entry.dirty) out.push_back(entry.last);
    entry.dirty = false;
  }
}

}  // namespace culprit
