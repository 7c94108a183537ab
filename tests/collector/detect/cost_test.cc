// SPDX-License-Identifier: Apache-2.0
// What findings cost, and the budget of a host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/detect/bill.h"
#include "tests/collector/detect/detect_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMega = 1'000'000;

WallTime At(std::int64_t second) { return WallTimeFromNs(second * 1'000'000'000); }

// Sends `megabytes` more through one flow, a second each.
struct Sender {
  HostScript& host;
  std::uint64_t process;
  std::string remote = "203.0.113.9";
  std::uint64_t flow = 0, sent = 0;
  v1::FlowDirection direction = v1::FLOW_DIRECTION_OUTBOUND;

  void Send(int seconds, std::uint64_t a_second) {
    for (int i = 0; i < seconds; ++i) {
      sent += a_second;
      flow = host.Flow({.process = process,
                        .remote = remote,
                        .direction = direction,
                        .tx = sent,
                        .tx_packets = 0,
                        .rx_packets = 1,
                        .lived = kSecond,
                        .flow = flow});
      host.Wait(1);
    }
  }
};

TEST(SpendTest, SumsOfTheLastHourForgetAndTotalsDoNot) {
  Spend spend;
  spend.Add(1, At(1000), 10, 1);
  spend.Add(1, At(1000 + 1800), 20, 2);
  spend.Add(2, At(1000 + 1800), 5, 0);
  EXPECT_EQ(spend.LastHour(At(1000 + 1800)).at(0).tx, 30U);
  EXPECT_EQ(spend.Since(At(1000 + 1800)).at(0).tx, 20U);
  EXPECT_EQ(spend.LastHour(At(1000 + 4200)).at(0).tx, 20U);
  EXPECT_TRUE(spend.LastHour(At(1000 + 9000)).empty());
  EXPECT_EQ(spend.Totals().at(0).tx, 30U);
  spend.Add(1, At(500), 7, 0);  // a clock that steps back
  EXPECT_EQ(spend.LastHour(At(1000 + 1800)).at(0).tx, 37U);
}

TEST(SpendTest, ATotalThatStepsBackBeganAnew) {
  std::vector<WayBytes> sums = {{1, 100, 10}};
  AddDifference({{1, 30, 3}}, {{1, 20, 2}}, &sums);
  EXPECT_EQ(sums.at(0).tx, 110U);
  AddDifference({{1, 5, 1}}, {{1, 30, 3}}, &sums);
  EXPECT_EQ(sums.at(0).tx, 115U);
  AddDifference({{2, 8, 0}}, {}, &sums);
  EXPECT_EQ(sums.at(1).tx, 8U);
}

TEST(SpendTest, WaysBeyondThoseThatAreKeptAreUnknown) {
  WayBook ways;
  for (std::size_t i = 0; i < 2 * WayBook::kMaxWays; ++i) {
    ways.NumberOf({RouteKind::kInterRegion, "ap-south-1", std::to_string(i)});
  }
  const std::uint32_t way = ways.NumberOf({RouteKind::kInternet, "ap-south-1", ""});
  EXPECT_EQ(ways.At(way).kind, RouteKind::kUnknown);
  EXPECT_EQ(ways.At(ways.NumberOf({RouteKind::kInterRegion, "ap-south-1", "7"})).to, "7");
}

TEST(FindingCostTest, AnUploadSaysWhatItCostWhereToAndGoesOn) {
  HostScript host;
  Sender sender{host, host.Process("/usr/bin/upload")};
  sender.Send(100, 10 * kMega);
  const Findings found = Detected(host);
  const v1::Finding* finding = FindRule(found, "egress");
  ASSERT_NE(finding, nullptr);
  const v1::FindingCost& cost = finding->cost();
  EXPECT_EQ(cost.prices_date(), "2026-01-31");
  ASSERT_EQ(cost.shares_size(), 1);
  EXPECT_EQ(cost.shares(0).way(), v1::COST_WAY_INTER_REGION);
  EXPECT_EQ(cost.shares(0).to(), "me-south-1");
  // Told each ten seconds: all but the last few.
  EXPECT_GE(cost.shares(0).tx_bytes(), 900 * kMega);
  EXPECT_NEAR(static_cast<double>(cost.micro_usd()),
              0.086 * static_cast<double>(cost.shares(0).tx_bytes()) / 1000, 1);
  EXPECT_NEAR(static_cast<double>(cost.micro_usd_per_hour()), 0.086e6 * 36, 0.086e6 * 4);
  EXPECT_EQ(finding->targets(0).region(), "me-south-1");
  EXPECT_THAT(finding->reason(), HasSubstr("; to AWS me-south-1; about $0.0"));
  EXPECT_THAT(finding->reason(), HasSubstr("an hour"));
}

// Found in the middle of it, over two seconds later: only the host's next sign of life comes then.
TEST(FindingCostTest, AnUploadThatEndsSoonAfterItWasFoundIsToldWhole) {
  HostScript host;
  FlowSpec upload{.process = host.Process("/tmp/upload"), .remote = "203.0.113.7"};
  for (const std::uint64_t sent : {0U, 320U, 450U, 600U}) {
    upload.tx = sent * kMega;
    upload.tx_packets = 1 + sent * 700;
    upload.rx_packets = 1 + sent;
    if (sent == 600) upload.state = v1::FLOW_STATE_CLOSED;
    upload.flow = host.Flow(upload);
    host.Wait(1);
  }
  host.Wait(10);
  host.Host("ami");
  const Findings found = Detected(host);
  ASSERT_EQ(RulesOf(found), std::vector<std::string>{"egress"});
  const v1::Finding& finding = found.begin()->second;
  EXPECT_GE(finding.targets(0).tx_bytes(), 600'000'000U);
  EXPECT_GE(finding.cost().micro_usd(), 51'600U);
}

TEST(FindingCostTest, AnUploadOfManyHoursStaysOneFindingWithAllOfItsCost) {
  HostScript host;
  Sender sender{host, host.Process("/usr/bin/upload")};
  sender.Send(60, 10 * kMega);
  for (int minute = 0; minute < 3 * 60; ++minute) {
    host.Wait(59);
    sender.Send(1, 300 * kMega);
  }
  DetectThresholds rich;
  rich.budget.usd_per_hour = 0;
  const Findings found = Detected(host.Frames(), rich);
  ASSERT_EQ(RulesOf(found), std::vector<std::string>{"egress"});
  const v1::Finding& finding = found.begin()->second;
  EXPECT_GT(finding.last_ns() - finding.first_ns(), std::int64_t{3} * 3600 * 1'000'000'000);
  EXPECT_EQ(finding.cost().shares(0).tx_bytes(), 54'600 * kMega);
  EXPECT_EQ(finding.targets(0).tx_bytes(), 54'600 * kMega + 40 * 0);
  // An hour of it: 18 GB.
  EXPECT_NEAR(static_cast<double>(finding.cost().micro_usd_per_hour()), 18 * 86'000, 2 * 86'000);
}

TEST(FindingCostTest, WithoutAPriceTableTheBytesAreUnknownAndNotFree) {
  HostScript host;
  Sender sender{host, host.Process("/usr/bin/upload")};
  sender.Send(80, 10 * kMega);
  TestPlaces places;
  places.tables->prices = nullptr;
  Findings found;
  DetectEngine engine({}, [&](const v1::Finding& f) { found[f.id()] = f; }, {&places, {}});
  for (const DecodedFrame& frame : host.Frames()) engine.Take(frame);
  const v1::Finding* finding = FindRule(found, "egress");
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->cost().micro_usd(), 0U);
  EXPECT_GT(finding->cost().unknown_bytes(), 500 * kMega);
  EXPECT_EQ(finding->cost().prices_date(), "");
  EXPECT_EQ(finding->reason().find("about $"), std::string::npos);
  // A table that comes later prices it.
  v1::Finding later = *finding;
  PriceFinding(TestPlaces().tables->prices.get(), &later);
  EXPECT_GT(later.cost().micro_usd(), 40'000U);
  EXPECT_EQ(later.cost().unknown_bytes(), 0U);
}

TEST(FindingCostTest, TablesThatChangeHoldForWhatComesThen) {
  HostScript host;
  Sender sender{host, host.Process("/usr/bin/upload")};
  sender.Send(80, 10 * kMega);
  const auto half = host.Frames().size();
  sender.Send(80, 10 * kMega);
  TestPlaces places;
  const auto known = places.tables->geo.aws;
  places.tables->geo.aws = std::make_shared<IpRanges>(*IpRanges::Parse(
      R"({"createDate":"2026-02-22-15-17-05","ipv6_prefixes":[],"prefixes":[)"
      R"({"ip_prefix":"192.0.2.0/24","region":"eu-west-1","service":"EC2"}]})"));
  Findings found;
  DetectEngine engine({}, [&](const v1::Finding& f) { found[f.id()] = f; }, {&places, {}});
  const auto& frames = host.Frames();
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (i == half) {
      auto newer = std::make_shared<PlaceTables>(*places.tables);
      newer->geo.aws = known;
      places.tables = newer;
    }
    engine.Take(frames[i]);
  }
  const v1::Finding* finding = FindRule(found, "egress");
  ASSERT_NE(finding, nullptr);
  ASSERT_EQ(finding->cost().shares_size(), 2);
  EXPECT_EQ(finding->cost().shares(0).way(), v1::COST_WAY_INTERNET);
  EXPECT_EQ(finding->cost().shares(1).way(), v1::COST_WAY_INTER_REGION);
}

TEST(BudgetTest, NamesTheProgramThatSpendsMost) {
  HostScript host;
  const auto small = host.Process("/usr/bin/small"), big = host.Process("/usr/bin/big");
  Sender two{host, big, "198.51.100.7", 0, 0, v1::FLOW_DIRECTION_INBOUND};
  Sender one{host, small, "198.51.100.8", 0, 0, v1::FLOW_DIRECTION_INBOUND};
  two.Send(100, 80 * kMega);
  one.Send(100, 30 * kMega);
  const Findings found = Detected(host);
  ASSERT_EQ(RulesOf(found), std::vector<std::string>{"budget"});
  const v1::Finding& finding = found.begin()->second;
  EXPECT_EQ(finding.exe(), "/usr/bin/big");
  EXPECT_EQ(finding.severity(), v1::SEVERITY_MEDIUM);
  EXPECT_THAT(finding.reason(), HasSubstr("its budget is $1.00; most of it, $0.8"));
  EXPECT_THAT(finding.reason(), HasSubstr("is by /usr/bin/big"));
  EXPECT_GE(finding.cost().micro_usd(), 1'000'000U);
}

TEST(BudgetTest, AnotherBudgetAndNoneHold) {
  HostScript host;
  Sender sender{host, host.Process("/usr/bin/big"), "198.51.100.7", 0, 0,
                v1::FLOW_DIRECTION_INBOUND};
  sender.Send(100, 80 * kMega);
  DetectThresholds settings;
  EXPECT_TRUE(Detected(host.Frames(), settings).empty());
  settings.budget.usd_per_hour = 0.1;
  const Findings found = Detected(host.Frames(), settings);
  ASSERT_EQ(RulesOf(found), std::vector<std::string>{"budget"});
  EXPECT_EQ(found.begin()->second.severity(), v1::SEVERITY_HIGH);  // eight times as much
  settings.budget.usd_per_hour = 0;
  EXPECT_TRUE(Detected(host.Frames(), settings).empty());
}

TEST(BudgetTest, WhatIsFreeIsNotSpent) {
  HostScript host;
  Sender sender{host, host.Process("/usr/bin/big"), "127.0.0.1"};
  sender.Send(100, 800 * kMega);
  EXPECT_TRUE(Detected(host).empty());
}

}  // namespace
}  // namespace culprit::testing
