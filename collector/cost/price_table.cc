// SPDX-License-Identifier: Apache-2.0
#include "collector/cost/price_table.h"

#include <algorithm>
#include <limits>

namespace culprit {
namespace {

__extension__ using Uint128 = unsigned __int128;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

std::uint64_t Saturate(Uint128 value) {
  return value > kMax ? kMax : static_cast<std::uint64_t>(value);
}

// Micro-dollars times bytes: divided once, at the end.
Uint128 Product(const Price& price, Uint128 bytes, std::uint64_t bytes_per_gb) {
  Uint128 sum = 0, begin = 0;
  for (const PriceTier& tier : price.tiers) {
    if (bytes <= begin) break;
    const bool endless = tier.up_to_gb == 0;
    const Uint128 end = Uint128{tier.up_to_gb} * bytes_per_gb;
    const Uint128 reach = endless ? bytes : std::min(bytes, end);
    sum += (reach - begin) * tier.micro_usd_per_gb;
    begin = reach;
  }
  return sum;
}

std::uint64_t Rounded(Uint128 product, std::uint64_t bytes_per_gb) {
  return Saturate((product + bytes_per_gb / 2) / bytes_per_gb);
}

}  // namespace

const Price* PriceTable::Find(const Route& route) const {
  const std::string& to = route.to;
  for (const Key& key : {Key{route.kind, route.from, to}, Key{route.kind, route.from, "*"},
                         Key{route.kind, "*", to}, Key{route.kind, "*", "*"}}) {
    if (const auto it = prices_.find(key); it != prices_.end()) return &it->second;
  }
  return nullptr;
}

std::optional<std::uint64_t> PriceTable::CostOf(const Route& route, std::uint64_t tx_bytes,
                                                std::uint64_t rx_bytes) const {
  if (route.kind == RouteKind::kLocal) return 0;
  if (route.kind == RouteKind::kUnknown) return std::nullopt;
  const Price* price = Find(route);
  if (price == nullptr) return std::nullopt;
  const Uint128 bytes = Uint128{tx_bytes} + (price->both_ways ? rx_bytes : 0);
  return Rounded(Product(*price, bytes, bytes_per_gb_), bytes_per_gb_);
}

std::uint64_t PriceTable::FreeTier(const std::map<Route, std::uint64_t>& internet_tx) const {
  // The allowance is one for all regions: the dearest bytes first say what it can take off at most.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> by_price;
  for (const auto& [route, bytes] : internet_tx) {
    const Price* price = route.kind == RouteKind::kInternet ? Find(route) : nullptr;
    if (price != nullptr) by_price.emplace_back(price->tiers.front().micro_usd_per_gb, bytes);
  }
  std::ranges::sort(by_price, std::greater<>());
  Uint128 left = Uint128{free_gb_} * bytes_per_gb_, sum = 0;
  for (const auto& [price, bytes] : by_price) {
    const Uint128 taken = std::min<Uint128>(left, bytes);
    sum += taken * price;
    left -= taken;
  }
  return Rounded(sum, bytes_per_gb_);
}

}  // namespace culprit
