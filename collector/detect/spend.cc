// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/spend.h"

#include <algorithm>

#include "collector/detect/windows.h"

namespace culprit {
namespace {

template <class Ways>
auto FindWay(Ways& ways, std::uint32_t way) {
  return std::find_if(ways.begin(), ways.end(), [way](const WayBytes& w) { return w.way == way; });
}

}  // namespace

void Spend::Add(std::uint32_t way, WallTime at, std::uint64_t tx, std::uint64_t rx) {
  newest_ = std::max(newest_, SecondsOf(at) / kSlotSeconds);
  auto it = std::find_if(ways_.begin(), ways_.end(),
                         [way](const Way& known) { return known.total.way == way; });
  if (it == ways_.end()) {
    it = ways_.emplace(ways_.end());
    it->total.way = way;
  }
  it->total.tx += tx;
  it->total.rx += rx;
  Slot& slot = it->slots[static_cast<std::size_t>(newest_) % kSlots];
  if (slot.number != newest_) slot = {newest_, 0, 0};
  slot.tx += tx;
  slot.rx += rx;
}

std::vector<WayBytes> Spend::From(std::int64_t from) const {
  std::vector<WayBytes> sums;
  for (const Way& way : ways_) {
    WayBytes sum{way.total.way, 0, 0};
    for (const Slot& slot : way.slots) {
      if (slot.number < from) continue;
      sum.tx += slot.tx;
      sum.rx += slot.rx;
    }
    if (sum.tx + sum.rx > 0) sums.push_back(sum);
  }
  return sums;
}

std::vector<WayBytes> Spend::Since(WallTime first) const {
  return From(std::max(SecondsOf(first) / kSlotSeconds,
                       newest_ - static_cast<std::int64_t>(kSlots) + 1));
}

std::vector<WayBytes> Spend::LastHour(WallTime at) const {
  return From(std::max(SecondsOf(at) / kSlotSeconds, newest_) -
              static_cast<std::int64_t>(kSlots) + 1);
}

std::vector<WayBytes> Spend::Totals() const {
  std::vector<WayBytes> totals;
  totals.reserve(ways_.size());
  for (const Way& way : ways_) totals.push_back(way.total);
  return totals;
}

void AddDifference(const std::vector<WayBytes>& now, const std::vector<WayBytes>& before,
                   std::vector<WayBytes>* sums) {
  for (const WayBytes& total : now) {
    WayBytes more = total;
    const auto old = FindWay(before, total.way);
    if (old != before.end() && old->tx <= total.tx && old->rx <= total.rx) {
      more.tx -= old->tx;
      more.rx -= old->rx;
    }
    auto sum = FindWay(*sums, total.way);
    if (sum == sums->end()) sum = sums->insert(sum, WayBytes{total.way, 0, 0});
    sum->tx += more.tx;
    sum->rx += more.rx;
  }
}

WayBook::WayBook() : routes_{{RouteKind::kUnknown, {}, "more ways than are kept apart"}} {}

std::uint32_t WayBook::NumberOf(const Route& route) {
  const auto known = numbers_.find(route);
  if (known != numbers_.end()) return known->second;
  if (routes_.size() >= kMaxWays) return 0;
  const auto number = static_cast<std::uint32_t>(routes_.size());
  routes_.push_back(route);
  numbers_.emplace(route, number);
  return number;
}

}  // namespace culprit
