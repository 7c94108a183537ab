// SPDX-License-Identifier: Apache-2.0
#include "collector/store/delta_table.h"

namespace culprit {
namespace {

// The counters, for what is done to each alike.
constexpr std::uint64_t FlowCounters::*kCounters[] = {
    &FlowCounters::tx_wire_bytes,    &FlowCounters::rx_wire_bytes,
    &FlowCounters::tx_payload_bytes, &FlowCounters::rx_payload_bytes,
    &FlowCounters::tx_packets,       &FlowCounters::rx_packets,
    &FlowCounters::tx_skb_bytes,     &FlowCounters::rx_skb_bytes,
    &FlowCounters::retransmitted_bytes};

}  // namespace

FlowCounters Minus(const FlowCounters& a, const FlowCounters& b) {
  FlowCounters out;
  for (const auto counter : kCounters) out.*counter = a.*counter - b.*counter;
  return out;
}

void Add(FlowCounters* sum, const FlowCounters& more) {
  for (const auto counter : kCounters) sum->*counter += more.*counter;
}

bool AnySmaller(const FlowCounters& a, const FlowCounters& b) {
  for (const auto counter : kCounters) {
    if (a.*counter < b.*counter) return true;
  }
  return false;
}

bool IsFinal(v1::FlowState state) {
  switch (state) {
    case v1::FLOW_STATE_CLOSED:
    case v1::FLOW_STATE_FAILED:
    case v1::FLOW_STATE_ABORTED:
    case v1::FLOW_STATE_NOT_SENT:
      return true;
    default:
      return false;
  }
}

std::optional<FlowStep> DeltaTable::Observe(const FlowKey& key, const FlowObservation& seen,
                                            const Fetch& fetch) {
  FlowStep step;
  const auto it = entries_.find(key);
  Entry* known = it == entries_.end() ? nullptr : &it->second;
  if (known == nullptr) {
    const std::optional<FlowBase> stored = fetch ? fetch(key) : std::nullopt;
    known = &Insert(key, stored ? *stored : FlowBase{});
    step.first = !stored;
  }
  Entry& entry = *known;
  FlowBase& base = entry.base;
  if (step.first) {
    step.added = seen.cumulative;
  } else {
    const bool smaller = AnySmaller(seen.cumulative, base.cumulative);
    if (seen.emitted_boot_ns < base.emitted_boot_ns) return std::nullopt;
    if (seen.emitted_boot_ns == base.emitted_boot_ns &&
        (smaller || seen.cumulative == base.cumulative)) {
      return std::nullopt;
    }
    step.since_boot_ns = base.emitted_boot_ns;
    step.rebased = smaller;
    step.added = smaller ? seen.cumulative : Minus(seen.cumulative, base.cumulative);
  }
  base.cumulative = seen.cumulative;
  base.emitted_boot_ns = seen.emitted_boot_ns;
  base.final = IsFinal(seen.facts.state);
  Touch(&entry);
  step.base = &base;
  return step;
}

DeltaTable::Entry& DeltaTable::Insert(const FlowKey& key, const FlowBase& base) {
  Order& order = base.final ? closed_ : open_;
  Entry& entry = entries_[key];
  entry.base = base;
  entry.place = order.insert(order.end(), key);
  entry.in_closed = base.final;
  return entry;
}

void DeltaTable::Touch(Entry* entry) {
  Order& from = entry->in_closed ? closed_ : open_;
  Order& to = entry->base.final ? closed_ : open_;
  to.splice(to.end(), from, entry->place);
  entry->in_closed = entry->base.final;
}

void DeltaTable::Restore(const FlowKey& key, const FlowBase& base) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) {
    Insert(key, base);
    return;
  }
  it->second.base = base;
  Touch(&it->second);
}

FlowBase* DeltaTable::Find(const FlowKey& key) {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : &it->second.base;
}

void DeltaTable::Trim(std::size_t max_flows, const Spill& spill) {
  // Closed flows are kept only against late repeats of their last record.
  const std::size_t max_closed = max_flows / 8;
  while (!closed_.empty() && (closed_.size() > max_closed || entries_.size() > max_flows)) {
    entries_.erase(closed_.front());
    closed_.pop_front();
  }
  while (!open_.empty() && entries_.size() > max_flows) {
    const auto it = entries_.find(open_.front());
    spill(it->first, it->second.base);
    entries_.erase(it);
    open_.pop_front();
  }
}

void DeltaTable::ForEach(const Spill& visit) const {
  for (const Order* order : {&open_, &closed_}) {
    for (const FlowKey& key : *order) visit(key, entries_.at(key).base);
  }
}

void DeltaTable::Clear() {
  entries_.clear();
  open_.clear();
  closed_.clear();
}

}  // namespace culprit
