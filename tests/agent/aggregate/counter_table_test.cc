// SPDX-License-Identifier: Apache-2.0
#include "agent/aggregate/counter_table.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/agent/aggregate/aggregator_fixture.h"

namespace culprit {
namespace {

using testing::AggregatorTest;
using testing::At;
using testing::BootId;
using testing::RunId;
using namespace std::chrono_literals;

TEST_F(AggregatorTest, AProcessThatReachesOutIsToldEverySecondAndBytesAloneEveryTen) {
  struct Case {
    const char* what;
    std::function<void(CounterFacts&)> step;
    std::size_t least, most;
  };
  const std::vector<Case> cases = {
      {"attempts", [](CounterFacts& f) { ++f.tcp_attempts; }, 20, 32},
      {"first contacts", [](CounterFacts& f) { ++f.activity.first_contacts; }, 20, 32},
      {"bare SYNs", [](CounterFacts& f) { ++f.activity.bare_syns; }, 20, 32},
      {"raw packets", [](CounterFacts& f) { ++f.activity.raw_packets; }, 20, 32},
      {"link packets", [](CounterFacts& f) { ++f.activity.link_packets; }, 20, 32},
      {"bytes", [](CounterFacts& f) { f.tx_wire_bytes += 1'000; }, 3, 4},
      {"window", [](CounterFacts& f) { ++f.activity.window_addresses; }, 3, 4},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Aggregator aggregator(BootId(), RunId(), limits_);
    CounterFacts facts;
    facts.process = ProcessId{1};
    facts.activity.window = At(1s);
    std::size_t records = 0;
    for (auto t = 0ns; t < 30s; t += 500ms) {
      facts.at = At(t);
      c.step(facts);
      aggregator.OnCounters(facts);
      aggregator.Tick(At(t));
      records += aggregator.TakeBatch(Lane::kEvidence).counters.size();
    }
    EXPECT_GE(records, c.least);
    EXPECT_LE(records, c.most);
  }
}

TEST_F(AggregatorTest, WithinAWindowTheHigherEstimateCountsAndANewWindowTakesItsPlace) {
  CounterFacts facts;
  facts.process = ProcessId{1};
  const auto put = [&](std::chrono::seconds window, std::uint64_t addresses, std::uint64_t ports) {
    facts.activity.window = At(window);
    facts.activity.window_addresses = addresses;
    facts.activity.window_ports = ports;
    aggregator_.OnCounters(facts);
    aggregator_.FlushAll(At(20s));
    Take();
    return counters_.back().activity;
  };
  put(10s, 5, 9);
  const Activity same = put(10s, 7, 3);
  EXPECT_EQ(same.window_addresses, 7U);
  EXPECT_EQ(same.window_ports, 9U);
  const Activity next = put(20s, 1, 1);
  EXPECT_EQ(next.window_addresses, 1U);
  const Activity late = put(10s, 50, 50);
  EXPECT_EQ(late.window_addresses, 1U);
}

TEST_F(AggregatorTest, CountersAreCoalescedAndNeverGoDown) {
  CounterFacts facts;
  facts.process = ProcessId{1};
  for (int s = 1; s <= 21; ++s) {
    facts.at = At(std::chrono::seconds(s));
    facts.tx_wire_bytes = static_cast<std::uint64_t>(s);
    aggregator_.OnCounters(facts);
    RunUntil(std::chrono::seconds(s));
  }
  facts.tx_wire_bytes = 3;
  aggregator_.OnCounters(facts);
  aggregator_.OnExit({ProcessId{1}, At(22s), 0});
  Take();
  EXPECT_LE(counters_.size(), 4U);
  EXPECT_EQ(counters_.back().tx_wire_bytes, 21U);
}

TEST_F(AggregatorTest, ManyAttemptsAreToldEverySecond) {
  CounterFacts facts;
  facts.process = ProcessId{1};
  for (int s = 1; s <= 10; ++s) {
    facts.tcp_attempts += 20'000;
    facts.outcome[CULPRIT_OUTCOME_REFUSED] = facts.tcp_attempts;
    aggregator_.OnCounters(facts);
    RunUntil(std::chrono::seconds(s) + 200ms);
  }
  EXPECT_GE(counters_.size(), 8U);
  EXPECT_EQ(counters_.back().outcome[CULPRIT_OUTCOME_REFUSED], 200'000U);
}

}  // namespace
}  // namespace culprit
