// SPDX-License-Identifier: Apache-2.0
#include "collector/cost/price_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/file.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;
constexpr std::uint64_t kGb = 1ULL << 30;

constexpr const char* kTable = R"(
date = "2026-01-31"
bytes_per_gb = 1073741824
free_gb_per_month = 100
[[internet]]
from = "ap-south-1"
as_of = "2026-01-31"
source = "a list"
tiers = [ { up_to_gb = 10, micro_usd_per_gb = 109300 }, { up_to_gb = 50, micro_usd_per_gb = 85000 }, { micro_usd_per_gb = 1 } ]
[[internet]]
from = "us-east-1"
as_of = "2026-01-31"
source = "a list"
micro_usd_per_gb = 90000
[[inter_region]]
from = "ap-south-1"
to = "*"
as_of = "2026-01-31"
source = "a list"
micro_usd_per_gb = 86000
[[inter_region]]
from = "ap-south-1"
to = "ap-southeast-1"
as_of = "2026-01-31"
source = "a list"
micro_usd_per_gb = 50000
[[cross_zone]]
from = "*"
as_of = "2026-01-31"
source = "a list"
micro_usd_per_gb = 10000
[[same_zone]]
from = "*"
as_of = "2026-01-31"
source = "a list"
micro_usd_per_gb = 0
[[aws_service]]
from = "*"
service = "S3"
as_of = "2026-01-31"
source = "a list"
micro_usd_per_gb = 0
)";

PriceTable Table() {
  auto table = PriceTable::Parse(kTable, "prices.toml");
  EXPECT_TRUE(table) << table.error().message;
  return table ? std::move(*table) : PriceTable();
}

struct Case {
  Route route;
  std::uint64_t tx, rx;
  std::optional<std::uint64_t> micro_usd;
};

TEST(PriceTableTest, EachWayHasItsPriceAndWhatHasNoneIsUnknown) {
  const PriceTable table = Table();
  const Route mumbai_out{RouteKind::kInternet, "ap-south-1", ""};
  const Route bahrain{RouteKind::kInterRegion, "ap-south-1", "me-south-1"};
  const Case cases[] = {
      {bahrain, 209 * kGb, 0, 17'974'000},
      {bahrain, 0, 209 * kGb, 0},
      {{RouteKind::kInterRegion, "ap-south-1", "ap-southeast-1"}, kGb, 0, 50'000},
      {{RouteKind::kInterRegion, "sa-east-1", "me-south-1"}, kGb, 0, std::nullopt},
      {mumbai_out, 10 * kGb, 0, 1'093'000},
      {mumbai_out, 11 * kGb, 0, 1'178'000},
      {mumbai_out, 60 * kGb, 0, 1'093'000 + 40 * 85'000 + 10},
      {{RouteKind::kInternet, "sa-east-1", ""}, kGb, 0, std::nullopt},
      {{RouteKind::kCrossZone, "us-east-1", ""}, kGb, 3 * kGb, 40'000},
      {{RouteKind::kSameZone, "us-east-1", ""}, kGb, kGb, 0},
      {{RouteKind::kAwsService, "us-east-1", "S3"}, kGb, 0, 0},
      {{RouteKind::kAwsService, "us-east-1", "EC2"}, kGb, 0, std::nullopt},
      {{RouteKind::kLocal, "us-east-1", ""}, kGb, kGb, 0},
      {{RouteKind::kUnknown, "us-east-1", "why"}, kGb, 0, std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(table.CostOf(c.route, c.tx, c.rx), c.micro_usd) << c.route.ToString() << " " << c.tx;
  }
}

TEST(PriceTableTest, AmountsAreExactAndRoundedOnce) {
  const PriceTable table = Table();
  const Route bahrain{RouteKind::kInterRegion, "ap-south-1", "me-south-1"};
  EXPECT_EQ(table.CostOf(bahrain, 1, 0), 0U);
  // 86,000 micro-dollars a GB: one is reached at 12,485.4 bytes, the half of it at 6,242.7.
  EXPECT_EQ(table.CostOf(bahrain, 6'242, 0), 0U);
  EXPECT_EQ(table.CostOf(bahrain, 6'243, 0), 1U);
  EXPECT_EQ(table.CostOf(bahrain, std::numeric_limits<std::uint64_t>::max(), 0),
            86'000ULL * (1ULL << 34));
}

TEST(PriceTableTest, TheFreeAllowanceIsOneForAllRegions) {
  const PriceTable table = Table();
  std::map<Route, std::uint64_t> sent;
  sent[{RouteKind::kInternet, "us-east-1", ""}] = 30 * kGb;
  EXPECT_EQ(table.FreeTier(sent), 30U * 90'000);
  sent[{RouteKind::kInternet, "ap-south-1", ""}] = 5 * kGb;
  EXPECT_EQ(table.FreeTier(sent), 5U * 109'300 + 30U * 90'000);
  sent[{RouteKind::kInternet, "us-east-1", ""}] = 300 * kGb;
  EXPECT_EQ(table.FreeTier(sent), 5U * 109'300 + 95U * 90'000);
}

TEST(PriceTableTest, AnErrorNamesFileLineAndRemedy) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kTable;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::pair<std::string, const char*> cases[] = {
      {"date = ", "prices.toml:1: not valid TOML"},
      {"", "date: expected a text"},
      {"date = \"2026-01-31\"", "no price in it"},
      {with("\"2026-01-31\"", "\"today\""), "date: expected \"2026-01-31\""},
      {with("free_gb_per_month", "free_gb"), "prices.toml:4: free_gb: unknown key"},
      {with("micro_usd_per_gb = 90000", "micro_usd_per_gb = 0.09"), "expected a whole number"},
      {with("micro_usd_per_gb = 90000", "price = 1"), "price: unknown key"},
      {with("micro_usd_per_gb = 90000", ""), "expected either micro_usd_per_gb or tiers"},
      {with("up_to_gb = 50", "up_to_gb = 10"), "up_to_gb: expected a whole number from 11"},
      {with(", { micro_usd_per_gb = 1 }", ""), "every tier but the last has one"},
      {with("to = \"*\"", ""), "to: expected a text"},
      {with("source = \"a list\"", ""), "source: expected a text"},
      {with("to = \"ap-southeast-1\"", "to = \"*\""), "a second price for the same way"},
      {with("[[same_zone]]", "[same_zone]"), "same_zone: expected [[same_zone]]"},
  };
  for (const auto& [text, words] : cases) {
    const auto table = PriceTable::Parse(text, "prices.toml");
    ASSERT_FALSE(table) << words;
    EXPECT_THAT(table.error().message, HasSubstr(words));
    EXPECT_THAT(table.error().message, HasSubstr("prices.toml"));
  }
}

TEST(PriceTableTest, TheShippedTableIsReadAndPricesTheWayOfTheStory) {
  const auto text = ReadWholeFile(CULPRIT_SOURCE_DIR "/deploy/prices.toml", kMaxPriceFileBytes);
  ASSERT_TRUE(text);
  const auto table = PriceTable::Parse(*text, "prices.toml");
  ASSERT_TRUE(table) << table.error().message;
  const Route bahrain{RouteKind::kInterRegion, "ap-south-1", "me-south-1"};
  EXPECT_EQ(table->CostOf(bahrain, 209 * kGb, 0), 17'974'000U);
  EXPECT_EQ(table->free_gb_per_month(), 100U);
}

}  // namespace
}  // namespace culprit
