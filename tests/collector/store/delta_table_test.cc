// SPDX-License-Identifier: Apache-2.0
#include "collector/store/delta_table.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

FlowObservation Seen(std::uint64_t emitted, std::uint64_t tx, std::uint64_t rx = 0,
                     v1::FlowState state = v1::FLOW_STATE_OPEN) {
  FlowObservation o;
  o.emitted_boot_ns = emitted;
  o.cumulative.tx_wire_bytes = tx;
  o.cumulative.rx_wire_bytes = rx;
  o.facts.state = state;
  return o;
}

const FlowKey kKey{1, 2, 3};

TEST(DeltaTableTest, CumulativeCountsBecomeDifferencesBeyondFourGiB) {
  DeltaTable table;
  EXPECT_EQ(table.Observe(kKey, Seen(1, 3'000'000'000), nullptr)->added.tx_wire_bytes, 3'000'000'000U);
  const auto step = table.Observe(kKey, Seen(2, 209'000'000'000), nullptr);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->added.tx_wire_bytes, 206'000'000'000U);
  EXPECT_EQ(step->since_boot_ns, 1U);
  EXPECT_FALSE(step->rebased);
}

TEST(DeltaTableTest, ACounterThatGoesBackIsANewBaseNeverNegative) {
  DeltaTable table;
  table.Observe(kKey, Seen(1, 5000, 50), nullptr);
  const auto step = table.Observe(kKey, Seen(2, 700, 60), nullptr);
  ASSERT_TRUE(step);
  EXPECT_TRUE(step->rebased);
  EXPECT_EQ(step->added.tx_wire_bytes, 700U);
  EXPECT_EQ(step->added.rx_wire_bytes, 60U);
  EXPECT_EQ(table.Observe(kKey, Seen(3, 800, 60), nullptr)->added.tx_wire_bytes, 100U);
}

TEST(DeltaTableTest, RepeatedAndOvertakenRecordsAddNothing) {
  DeltaTable table;
  table.Observe(kKey, Seen(5, 5000), nullptr);
  EXPECT_FALSE(table.Observe(kKey, Seen(5, 5000), nullptr));
  EXPECT_FALSE(table.Observe(kKey, Seen(4, 4000), nullptr));
  EXPECT_EQ(table.Observe(kKey, Seen(6, 5001), nullptr)->added.tx_wire_bytes, 1U);
}

TEST(DeltaTableTest, OpenFlowsThatDoNotFitAreHandedOutAndFetchedBack) {
  DeltaTable table;
  std::map<FlowKey, FlowBase> disk;
  const auto fetch = [&](const FlowKey& key) {
    return disk.count(key) ? std::optional(disk[key]) : std::nullopt;
  };
  for (std::uint64_t flow = 1; flow <= 100; ++flow) {
    table.Observe({1, flow, 1}, Seen(1, flow * 1000), fetch);
  }
  table.Trim(40, [&](const FlowKey& key, const FlowBase& base) { disk[key] = base; });
  EXPECT_EQ(table.size(), 40U);
  EXPECT_EQ(disk.size(), 60U);
  for (std::uint64_t flow = 1; flow <= 100; ++flow) {
    EXPECT_EQ(table.Observe({1, flow, 1}, Seen(2, flow * 1000 + 7), fetch)->added.tx_wire_bytes, 7U);
  }
}

TEST(DeltaTableTest, ClosedFlowsGoBeforeOpenOnes) {
  DeltaTable table;
  for (std::uint64_t flow = 1; flow <= 100; ++flow) {
    const auto state = flow % 2 == 0 ? v1::FLOW_STATE_CLOSED : v1::FLOW_STATE_OPEN;
    table.Observe({1, flow, 1}, Seen(1, 1, 0, state), nullptr);
  }
  int spilled = 0;
  table.Trim(60, [&](const FlowKey&, const FlowBase&) { ++spilled; });
  EXPECT_EQ(spilled, 0);
  for (std::uint64_t flow = 1; flow <= 100; flow += 2) EXPECT_NE(table.Find({1, flow, 1}), nullptr);
}

}  // namespace
}  // namespace culprit
