// SPDX-License-Identifier: Apache-2.0
// The price table's file. Lists of tables are more than common/toml_reader.h reads.
#include <spdlog/fmt/fmt.h>

#include <set>

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "collector/cost/price_table.h"
#include "common/text.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxPrices = 10'000, kMaxTiers = 16, kMaxWord = 64, kMaxSource = 256;
constexpr std::int64_t kMaxMicroUsd = 1'000'000'000;  // $1,000 a GB
constexpr std::int64_t kMaxGb = 1'000'000'000;

struct Kind {
  const char* list;
  RouteKind kind;
  const char* to;  // the key that names the other end; null = there is none
  bool both_ways;
};
// Between zones, and between public addresses of one region, AWS charges either end for both ways.
constexpr Kind kKinds[] = {
    {"internet", RouteKind::kInternet, nullptr, false},
    {"inter_region", RouteKind::kInterRegion, "to", false},
    {"cross_zone", RouteKind::kCrossZone, nullptr, true},
    {"same_zone", RouteKind::kSameZone, nullptr, false},
    {"aws_service", RouteKind::kAwsService, "service", false},
};

bool IsDate(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i != 4 && i != 7 && (text[i] < '0' || text[i] > '9')) return false;
  }
  return true;
}

}  // namespace

class PriceParser {
 public:
  explicit PriceParser(std::string name) : name_(std::move(name)) {}

  Result<PriceTable> Run(const toml::table& root) {
    static const std::set<std::string, std::less<>> kTop = {
        "date",         "bytes_per_gb", "free_gb_per_month", "internet",
        "inter_region", "cross_zone",   "same_zone",         "aws_service"};
    TRY_VOID(Known(root, kTop));
    TRY(table_.date_, Text(root, "date", kMaxWord));
    if (!IsDate(table_.date_)) return Wrong(root, "date", "expected \"2026-01-31\"");
    if (root.contains("bytes_per_gb")) {
      TRY(table_.bytes_per_gb_, Number(root, "bytes_per_gb", 1'000'000'000, 1LL << 30));
    }
    if (root.contains("free_gb_per_month")) {
      TRY(table_.free_gb_, Number(root, "free_gb_per_month", 0, kMaxGb));
    }
    for (const Kind& kind : kKinds) TRY_VOID(TakeList(root, kind));
    if (table_.prices_.empty()) return InvalidArgument(name_ + ": no price in it");
    return std::move(table_);
  }

 private:
  Error Wrong(const toml::node& node, std::string_view key, std::string_view what) const {
    return InvalidArgument(
        fmt::format("{}:{}: {}: {}", name_, node.source().begin.line, EscapeText(key), what));
  }
  Status Known(const toml::table& table, const std::set<std::string, std::less<>>& keys) const {
    for (const auto& [key, node] : table) {
      if (keys.count(key.str()) == 0) return Wrong(node, key.str(), "unknown key");
    }
    return Ok();
  }
  Result<std::string> Text(const toml::table& table, const char* key, std::size_t max) const {
    const auto text = table[key].value_exact<std::string>();
    if (!text || text->empty() || text->size() > max) {
      return Wrong(table, key, fmt::format("expected a text of 1 to {} characters", max));
    }
    return *text;
  }
  Result<std::uint64_t> Number(const toml::table& table, const char* key, std::int64_t min,
                               std::int64_t max) const {
    const auto number = table[key].value_exact<std::int64_t>();
    if (!number || *number < min || *number > max) {
      return Wrong(table, key, fmt::format("expected a whole number from {} to {}", min, max));
    }
    return static_cast<std::uint64_t>(*number);
  }

  Status TakeList(const toml::table& root, const Kind& kind) {
    const toml::node* node = root.get(kind.list);
    if (node == nullptr) return Ok();
    const toml::array* list = node->as_array();
    if (list == nullptr)
      return Wrong(*node, kind.list, "expected [[" + std::string(kind.list) + "]]");
    for (const toml::node& entry : *list) {
      const toml::table* table = entry.as_table();
      if (table == nullptr) return Wrong(entry, kind.list, "expected a table");
      if (table_.prices_.size() == kMaxPrices) return Wrong(entry, kind.list, "too many prices");
      TRY_VOID(TakePrice(*table, kind));
    }
    return Ok();
  }

  Status TakePrice(const toml::table& table, const Kind& kind) {
    std::set<std::string, std::less<>> keys = {"from",  "micro_usd_per_gb", "tiers",
                                               "as_of", "source",           "both_ways"};
    if (kind.to != nullptr) keys.insert(kind.to);
    TRY_VOID(Known(table, keys));
    PriceTable::Key key{kind.kind, {}, {}};
    TRY(key.from, Text(table, "from", kMaxWord));
    if (kind.to != nullptr) {
      TRY(key.to, Text(table, kind.to, kMaxWord));
    }
    Price price;
    price.both_ways = table["both_ways"].value_or(kind.both_ways);
    TRY(price.as_of, Text(table, "as_of", kMaxWord));
    TRY(price.source, Text(table, "source", kMaxSource));
    if (table.contains("tiers") == table.contains("micro_usd_per_gb")) {
      return Wrong(table, kind.list, "expected either micro_usd_per_gb or tiers");
    }
    if (const toml::array* tiers = table["tiers"].as_array()) {
      TRY_VOID(TakeTiers(*tiers, &price));
    } else {
      PriceTier only;
      TRY(only.micro_usd_per_gb, Number(table, "micro_usd_per_gb", 0, kMaxMicroUsd));
      price.tiers.push_back(only);
    }
    if (!table_.prices_.try_emplace(std::move(key), std::move(price)).second) {
      return Wrong(table, kind.list, "a second price for the same way");
    }
    return Ok();
  }

  Status TakeTiers(const toml::array& tiers, Price* price) const {
    if (tiers.empty() || tiers.size() > kMaxTiers) return Wrong(tiers, "tiers", "expected 1 to 16");
    for (std::size_t i = 0; i < tiers.size(); ++i) {
      const toml::table* row = tiers[i].as_table();
      if (row == nullptr)
        return Wrong(tiers[i], "tiers", "expected { up_to_gb, micro_usd_per_gb }");
      TRY_VOID(Known(*row, {"up_to_gb", "micro_usd_per_gb"}));
      PriceTier tier;
      TRY(tier.micro_usd_per_gb, Number(*row, "micro_usd_per_gb", 0, kMaxMicroUsd));
      const bool last = i + 1 == tiers.size();
      if (last == row->contains("up_to_gb")) {
        return Wrong(*row, "up_to_gb", "every tier but the last has one");
      }
      if (!last) {
        const std::uint64_t before = price->tiers.empty() ? 0 : price->tiers.back().up_to_gb;
        TRY(tier.up_to_gb, Number(*row, "up_to_gb", static_cast<std::int64_t>(before) + 1, kMaxGb));
      }
      price->tiers.push_back(tier);
    }
    return Ok();
  }

  const std::string name_;
  PriceTable table_;
};

Result<PriceTable> PriceTable::Parse(std::string_view text, const std::string& name) {
  if (text.size() > kMaxPriceFileBytes) return InvalidArgument(name + ": too long");
  const toml::parse_result result = toml::parse(text, std::string_view(name));
  if (!result) {
    const auto& error = result.error();
    return InvalidArgument(fmt::format("{}:{}: not valid TOML: {}", name, error.source().begin.line,
                                       EscapeText(error.description())));
  }
  return PriceParser(name).Run(result.table());
}

}  // namespace culprit
