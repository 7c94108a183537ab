// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/bill.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "common/units.h"

namespace culprit {
namespace {

constexpr int kMaxShares = 64;
constexpr std::int64_t kNsASecond = 1'000'000'000;
constexpr std::uint64_t kCent = 10'000;  // micro-dollars

Route RouteOfShare(const v1::CostShare& share) {
  return {static_cast<RouteKind>(share.way()), share.from(), share.to()};
}

// How long the hour is that the recent bytes are of.
std::uint64_t RecentSeconds(const v1::Finding& finding) {
  const std::int64_t seconds = (finding.last_ns() - finding.first_ns()) / kNsASecond;
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>(seconds, 60, 3600));
}

}  // namespace

v1::FindingCost CostOf(const std::vector<WayBytes>& all, const std::vector<WayBytes>& recent,
                       const WayBook& ways) {
  v1::FindingCost cost;
  for (const WayBytes& bytes : all) {
    const Route& route = ways.At(bytes.way);
    if (route.kind == RouteKind::kLocal || bytes.tx + bytes.rx == 0) continue;
    v1::CostShare& share = *cost.add_shares();
    share.set_way(static_cast<v1::CostWay>(route.kind));
    share.set_from(route.from);
    share.set_to(route.to);
    share.set_tx_bytes(bytes.tx);
    share.set_rx_bytes(bytes.rx);
    const auto late = std::find_if(recent.begin(), recent.end(),
                                   [&](const WayBytes& r) { return r.way == bytes.way; });
    if (late == recent.end()) continue;
    share.set_recent_tx_bytes(std::min(late->tx, bytes.tx));
    share.set_recent_rx_bytes(std::min(late->rx, bytes.rx));
  }
  return cost;
}

std::vector<WayBytes> BytesOf(const v1::FindingCost& cost, WayBook* ways) {
  std::vector<WayBytes> bytes;
  for (const v1::CostShare& share : cost.shares()) {
    bytes.push_back({ways->NumberOf(RouteOfShare(share)), share.tx_bytes(), share.rx_bytes()});
  }
  return bytes;
}

void PriceFinding(const PriceTable* prices, v1::Finding* finding) {
  if (!finding->has_cost()) return;
  v1::FindingCost& cost = *finding->mutable_cost();
  std::uint64_t sum = 0, recent = 0, unknown = 0;
  for (v1::CostShare& share : *cost.mutable_shares()) {
    const Route route = RouteOfShare(share);
    const auto price = prices == nullptr
                           ? std::nullopt
                           : prices->CostOf(route, share.tx_bytes(), share.rx_bytes());
    share.set_price_known(price.has_value());
    share.set_micro_usd(price.value_or(0));
    sum += price.value_or(0);
    if (!price) {
      unknown += share.tx_bytes();
      continue;
    }
    recent += prices->CostOf(route, share.recent_tx_bytes(), share.recent_rx_bytes()).value_or(0);
  }
  cost.set_micro_usd(sum);
  cost.set_micro_usd_per_hour(recent * 3600 / RecentSeconds(*finding));
  cost.set_unknown_bytes(unknown);
  cost.set_prices_date(prices == nullptr ? "" : prices->date());
  auto& shares = *cost.mutable_shares();
  std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) {
    return std::pair(a.micro_usd(), a.tx_bytes()) > std::pair(b.micro_usd(), b.tx_bytes());
  });
  if (shares.size() > kMaxShares) shares.DeleteSubrange(kMaxShares, shares.size() - kMaxShares);
}

std::uint64_t PriceOf(const std::vector<WayBytes>& bytes, const WayBook& ways,
                      const PriceTable& prices) {
  std::uint64_t sum = 0;
  for (const WayBytes& way : bytes) {
    sum += prices.CostOf(ways.At(way.way), way.tx, way.rx).value_or(0);
  }
  return sum;
}

std::string BillText(const v1::FindingCost& cost) {
  if (cost.micro_usd() < kCent) return "";
  return fmt::format("about {} so far, at {} an hour", FormatUsd(cost.micro_usd()),
                     FormatUsd(cost.micro_usd_per_hour()));
}

}  // namespace culprit
