// SPDX-License-Identifier: Apache-2.0
// What data transfer costs, by the operator's own dated table (deploy/prices.toml).
//
// Stage: cost. Pure. Thread: immutable once parsed. Amounts are whole micro-dollars; a price is in
// micro-dollars per GB of bytes_per_gb bytes; products are taken in 128 bits and rounded once, half
// up. A way that the table does not name has no price: unknown, never zero.
#ifndef CULPRIT_COLLECTOR_COST_PRICE_TABLE_H_
#define CULPRIT_COLLECTOR_COST_PRICE_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/cost/route.h"
#include "common/result.h"

namespace culprit {

inline constexpr std::size_t kMaxPriceFileBytes = 1U << 20;

struct PriceTier {
  std::uint64_t up_to_gb = 0;  // of a month's sum; 0 = without end (the last tier)
  std::uint64_t micro_usd_per_gb = 0;
};

struct Price {
  std::vector<PriceTier> tiers;  // at least one, ascending
  bool both_ways = false;        // received bytes are charged like sent ones
  std::string as_of, source;     // date and place that the price was read
};

class PriceTable {
 public:
  // `name` stands for the file. Errors: kInvalidArgument, with file and line.
  static Result<PriceTable> Parse(std::string_view toml, const std::string& name);

  // Null = the table has none. A price "to" or "from" a region by name goes before one for "*".
  const Price* Find(const Route& route) const;

  // Whole micro-dollars of what went by one way, as if it were the month's first paid bytes.
  // nullopt = unknown.
  std::optional<std::uint64_t> CostOf(const Route& route, std::uint64_t tx_bytes,
                                      std::uint64_t rx_bytes) const;
  // What the account's free allowance takes off at most, were nothing else of it used.
  std::uint64_t FreeTier(const std::map<Route, std::uint64_t>& internet_tx) const;

  const std::string& date() const { return date_; }
  std::uint64_t bytes_per_gb() const { return bytes_per_gb_; }
  std::uint64_t free_gb_per_month() const { return free_gb_; }

 private:
  friend class PriceParser;
  struct Key {
    RouteKind kind;
    std::string from, to;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  std::string date_;
  std::uint64_t bytes_per_gb_ = 1ULL << 30U;
  std::uint64_t free_gb_ = 0;
  std::map<Key, Price> prices_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_COST_PRICE_TABLE_H_
