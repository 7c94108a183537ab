// SPDX-License-Identifier: Apache-2.0
// Who is charged: owner changes, and that rows always add up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/agent/aggregate/aggregator_fixture.h"

namespace culprit {
namespace {

using testing::AggregatorTest;
using testing::At;
using testing::End;
using testing::Established;
using testing::Flow;
using testing::IdOf;
using testing::Key;
using ::testing::SizeIs;
using testing::Snapshot;
using namespace std::chrono_literals;

TEST_F(AggregatorTest, AnOwnerChangeTellsTheOldOwnersPartAtOnce) {
  RunUntil(1s);
  Observe(Established(1s).Tx(1'000));
  RunUntil(2'500ms);
  Rows();
  Observe(Flow().Reason(FlowReason::kOwner).Established(1s).When(3s).Tx(3'000));
  auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].first, Lane::kEvidence);
  EXPECT_EQ(rows[0].second.state, FlowState::kHandedOver);
  EXPECT_EQ(rows[0].second.process, IdOf(Key(100)));
  EXPECT_EQ(rows[0].second.totals.tx_payload_bytes, 3'000U);

  Observe(End(4s).Owner(Key(101)).Tx(10'000));
  rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].second.process, IdOf(Key(101)));
  EXPECT_EQ(rows[0].second.creator, IdOf(Key(100)));
  EXPECT_EQ(rows[0].second.state, FlowState::kClosed);
  EXPECT_EQ(rows[0].second.totals.tx_payload_bytes, 7'000U);
}

TEST_F(AggregatorTest, AnOwnerThatComesBackGoesOnWithItsRow) {
  RunUntil(1s);
  Observe(Established(1s).Tx(100));
  Observe(Snapshot(2s).Owner(Key(101)).Tx(250));
  Observe(Snapshot(3s).Owner(Key(100)).Tx(600));
  Observe(End(4s).Owner(Key(100)).Tx(1'000));
  std::map<ProcessId, std::uint64_t> last;
  for (const auto& [lane, row] : Rows()) last[row.process] = row.totals.tx_payload_bytes;
  EXPECT_EQ(last[IdOf(Key(100))], 100U + 350U + 400U);
  EXPECT_EQ(last[IdOf(Key(101))], 150U);
}

TEST_F(AggregatorTest, AfterEightChangesAFlowIsSharedAndStillAddsUp) {
  RunUntil(1s);
  Observe(Established(1s).Tx(10));
  std::uint64_t total = 10;
  for (std::uint32_t i = 1; i <= 40; ++i) {
    total += 100;
    Observe(Snapshot(1s + std::chrono::milliseconds(i)).Owner(Key(100 + i % 3)).Tx(total));
  }
  total += 5;
  Observe(End(2s).Owner(Key(101)).Tx(total));
  std::map<ProcessId, std::uint64_t> last;
  std::size_t rows = 0;
  std::uint32_t flags = 0;
  for (const auto& [lane, row] : Rows()) {
    last[row.process] = row.totals.tx_payload_bytes;
    flags = row.flags;
    ++rows;
  }
  std::uint64_t sum = 0;
  for (const auto& [process, bytes] : last) sum += bytes;
  EXPECT_EQ(sum, total);
  EXPECT_LE(rows, 12U);
  EXPECT_NE(flags & kFlowFlagShared, 0U);
}

TEST_F(AggregatorTest, ARecordWithoutAnOwnerTakesNothingFromTheKnownOne) {
  RunUntil(1s);
  Observe(Established(1s).Tx(10));
  Observe(End(2s).Owner({}).Tx(500));
  const auto rows = Rows();
  EXPECT_EQ(rows.back().second.process, IdOf(Key(100)));
  EXPECT_EQ(rows.back().second.totals.tx_payload_bytes, 500U);
}

TEST_F(AggregatorTest, AFlagThatTheKernelTakesBackIsGone) {
  RunUntil(1s);
  Observe(Established(1s).Flags(CULPRIT_FLOW_PREEXISTING | CULPRIT_FLOW_SHARED));
  Observe(End(2s).Flags(CULPRIT_FLOW_OWNER_BY_CREATOR));
  EXPECT_EQ(Rows().back().second.flags, kFlowFlagShared | kFlowFlagOwnerByCreator);
}

// The property that everything stands on: rows of one flow over all its processes add up to the
// socket's totals, and no row ever goes down, whatever the order of owners, repetitions and steps
// of time.
TEST_F(AggregatorTest, RowsAddUpToTheSocketsTotalsInRandomHistories) {
  std::mt19937_64 random(7);
  for (std::uint64_t cookie = 1; cookie <= 300; ++cookie) {
    FlowTotals totals;
    std::map<ProcessId, FlowTotals> last;
    const auto collect = [&] {
      for (const auto& [lane, row] : Rows()) {
        FlowTotals& known = last[row.process];
        EXPECT_GE(row.totals.tx_wire_bytes, known.tx_wire_bytes);
        EXPECT_GE(row.totals.rx_payload_bytes, known.rx_payload_bytes);
        known = row.totals;
      }
    };
    Observe(Flow().Cookie(cookie).Reason(FlowReason::kAttempt).When(now_));
    const std::uint64_t steps = random() % 30;
    FlowEvent event = Snapshot(now_).Cookie(cookie).Build();
    for (std::uint64_t step = 0; step < steps; ++step) {
      totals.tx_wire_bytes += random() % (1ULL << (random() % 40));
      totals.rx_wire_bytes += random() % 5'000'000'000ULL;
      totals.tx_skb_bytes += random() % 100;
      totals.rx_payload_bytes += random() % 1'000;
      totals.retransmitted_bytes += random() % 2;
      event.totals = totals;
      event.owner = Key(100 + static_cast<std::uint32_t>(random() % 4));
      event.at = At(now_ += 10ms);
      event.reason = random() % 3 == 0 ? FlowReason::kOwner : FlowReason::kSnapshot;
      Observe(event);
      if (random() % 4 == 0) Observe(event);
      aggregator_.Tick(At(now_ += std::chrono::milliseconds(random() % 3'000)));
      collect();
    }
    event.reason = FlowReason::kEnd;
    event.at = At(now_ += 10ms);
    Observe(event);
    collect();
    FlowTotals sum;
    for (const auto& [process, part] : last) {
      sum.tx_wire_bytes += part.tx_wire_bytes;
      sum.rx_wire_bytes += part.rx_wire_bytes;
      sum.tx_skb_bytes += part.tx_skb_bytes;
      sum.rx_payload_bytes += part.rx_payload_bytes;
      sum.retransmitted_bytes += part.retransmitted_bytes;
    }
    EXPECT_EQ(sum, totals) << "flow " << cookie;
  }
  EXPECT_EQ(aggregator_.live_flows(), 0U);
}

}  // namespace
}  // namespace culprit
