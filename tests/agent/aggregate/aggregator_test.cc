// SPDX-License-Identifier: Apache-2.0
#include "agent/aggregate/aggregator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/aggregate/aggregator_fixture.h"

namespace culprit {
namespace {

using testing::AggregatorTest;
using testing::At;
using testing::BootId;
using testing::End;
using testing::Established;
using testing::Flow;
using testing::IdOf;
using ::testing::IsEmpty;
using testing::Key;
using testing::RunId;
using ::testing::SizeIs;
using testing::Snapshot;
using namespace std::chrono_literals;

TEST_F(AggregatorTest, AnOutcomeIsToldAsEvidenceWithinAQuarterOfASecond) {
  RunUntil(1s);
  Observe(Established(1s));
  RunUntil(1'250ms);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].first, Lane::kEvidence);
  EXPECT_EQ(rows[0].second.state, FlowState::kOpen);
  EXPECT_EQ(rows[0].second.process, IdOf(Key(100)));
}

TEST_F(AggregatorTest, AShortConnectionIsOneRow) {
  RunUntil(1s);
  Observe(Flow().Reason(FlowReason::kAttempt).When(1s));
  Observe(Established(1'010ms));
  Observe(End(1'050ms).Tx(300).Rx(5'000));
  RunUntil(20s);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].first, Lane::kEvidence);
  EXPECT_EQ(rows[0].second.state, FlowState::kClosed);
  EXPECT_EQ(rows[0].second.totals.rx_payload_bytes, 5'000U);
  EXPECT_EQ(aggregator_.live_flows(), 0U);
}

TEST_F(AggregatorTest, CadenceIsOneSecondAfterFirstBytesThenTenSecondsIfChanged) {
  RunUntil(1s);
  Observe(Established(1s));
  for (int s = 2; s <= 33; ++s) {
    RunUntil(std::chrono::seconds(s));
    if (s != 20) Observe(Snapshot(std::chrono::seconds(s)).Tx(static_cast<std::uint64_t>(s) * 100));
  }
  std::vector<std::pair<Lane, std::int64_t>> got;
  for (const auto& [lane, row] : Rows()) {
    got.emplace_back(
        lane,
        std::chrono::duration_cast<std::chrono::seconds>(row.emitted.time_since_epoch()).count());
  }
  EXPECT_THAT(got, ::testing::ElementsAre(std::pair(Lane::kEvidence, 1),
                                          std::pair(Lane::kEvidence, 2), std::pair(Lane::kBulk, 12),
                                          std::pair(Lane::kBulk, 22), std::pair(Lane::kBulk, 32)));
}

TEST_F(AggregatorTest, AMegabyteMovedIsToldEverySecond) {
  RunUntil(1s);
  Observe(Established(1s));
  for (int s = 2; s <= 12; ++s) {
    RunUntil(std::chrono::seconds(s));
    Observe(Snapshot(std::chrono::seconds(s)).Tx(static_cast<std::uint64_t>(s) * 2'000'000));
  }
  RunUntil(13s);
  const auto rows = Rows();
  EXPECT_GE(rows.size(), 10U);
  EXPECT_LE(rows.size(), 13U);
  EXPECT_EQ(rows.back().first, Lane::kBulk);
}

TEST_F(AggregatorTest, NothingIsToldOfASilentFlowButOnceAnHour) {
  RunUntil(1s);
  Observe(Established(1s).Tx(100));
  RunUntil(60s);
  rows_.clear();
  now_ = 3'500s;
  RunUntil(3'510s);
  EXPECT_THAT(Rows(), IsEmpty());
  now_ = 3'610s;
  RunUntil(3'620s);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].first, Lane::kBulk);
  EXPECT_EQ(rows[0].second.totals.tx_payload_bytes, 100U);
}

TEST_F(AggregatorTest, AnAttemptWithoutOutcomeIsToldAfterASecond) {
  RunUntil(1s);
  Observe(Flow().Reason(FlowReason::kAttempt).When(1s));
  RunUntil(1'900ms);
  EXPECT_THAT(Rows(), IsEmpty());
  RunUntil(2'200ms);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].second.state, FlowState::kAttempt);
}

struct OutcomeCase {
  std::string_view name;
  FlowReason reason;
  std::uint32_t flags;
  std::int32_t error;
  FlowState expected;
};
class OutcomeTest : public AggregatorTest, public ::testing::WithParamInterface<OutcomeCase> {};

TEST_P(OutcomeTest, IsOneRowEvenIfTheEndFollows) {
  const OutcomeCase& c = GetParam();
  RunUntil(1s);
  Observe(Flow().Reason(FlowReason::kAttempt).When(1s));
  Observe(Flow().Reason(c.reason).Flags(c.flags).Errno(c.error).When(1'001ms).TcpState(7));
  RunUntil(1'300ms);
  Observe(Flow().Reason(FlowReason::kEnd).Flags(c.flags).Errno(c.error).When(1'300ms).TcpState(7));
  RunUntil(30s);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].second.state, c.expected);
  EXPECT_EQ(rows[0].second.error, c.error);
  EXPECT_EQ(aggregator_.live_flows(), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Outcomes, OutcomeTest,
    ::testing::ValuesIn(std::vector<OutcomeCase>{
        {"Refused", FlowReason::kFailed, 0, 111, FlowState::kFailed},
        {"TimedOut", FlowReason::kFailed, 0, 110, FlowState::kFailed},
        {"Aborted", FlowReason::kFailed, CULPRIT_FLOW_ABORTED, 0, FlowState::kAborted},
        {"ClosedEarlyWithoutAFlag", FlowReason::kFailed, 0, 0, FlowState::kAborted},
        {"NotSent", FlowReason::kFailed, CULPRIT_FLOW_NOT_SENT, 101, FlowState::kNotSent},
        {"OnlyTheEnd", FlowReason::kEnd, 0, 111, FlowState::kFailed},
        {"OnlyTheEndAborted", FlowReason::kEnd, CULPRIT_FLOW_ABORTED, 0, FlowState::kAborted},
    }),
    [](const auto& p) { return std::string(p.param.name); });

TEST_F(AggregatorTest, AFailedConnectWhoseSocketStaysOpenIsForgottenAndItsEndSaysNothing) {
  RunUntil(1s);
  Observe(Flow().Reason(FlowReason::kFailed).Errno(111).When(1s));
  RunUntil(10s);
  EXPECT_EQ(aggregator_.live_flows(), 0U);
  EXPECT_THAT(Rows(), SizeIs(1));
  Observe(Flow().Reason(FlowReason::kEnd).Errno(111).When(10s));
  RunUntil(20s);
  EXPECT_THAT(Rows(), IsEmpty());
}

TEST_F(AggregatorTest, TwoRefusedConnectsOnOneSocketAreTwoFlows) {
  RunUntil(1s);
  Observe(Flow().Generation(0).Reason(FlowReason::kFailed).Errno(111).When(1s));
  Observe(Flow().Generation(1).Reason(FlowReason::kFailed).Errno(111).When(1s));
  RunUntil(2s);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_NE(rows[0].second.flow, rows[1].second.flow);
}

TEST_F(AggregatorTest, CountsBeyondFourGiBSurviveOneInterval) {
  RunUntil(1s);
  Observe(Established(1s));
  Observe(Snapshot(2s).Tx(209'000'000'000));
  RunUntil(3s);
  EXPECT_EQ(Rows().back().second.totals.tx_payload_bytes, 209'000'000'000U);
  Observe(End(4s).Tx(418'000'000'000));
  EXPECT_EQ(Rows().back().second.totals.tx_payload_bytes, 418'000'000'000U);
}

TEST_F(AggregatorTest, RepeatedRecordsChangeNothing) {
  RunUntil(1s);
  for (int i = 0; i < 10; ++i) Observe(Established(1s).Tx(500));
  for (int i = 0; i < 10; ++i) Observe(Snapshot(1s).Tx(500));
  RunUntil(60s);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].second.totals.tx_payload_bytes, 500U);
}

TEST_F(AggregatorTest, ARecordThatComesLateTakesNothingBackAndReopensNothing) {
  RunUntil(1s);
  Observe(Snapshot(5s).Tx(5'000));
  Observe(Established(1s).Tx(10));
  EXPECT_EQ(aggregator_.counters().stale_events, 1U);
  Observe(End(6s).Tx(6'000));
  Observe(Snapshot(5'500ms).Tx(5'500));
  EXPECT_EQ(aggregator_.live_flows(), 0U);
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].second.totals.tx_payload_bytes, 6'000U);
}

TEST_F(AggregatorTest, CountersThatBeginAnewAreAdded) {
  RunUntil(1s);
  Observe(Snapshot(2s).Tx(5'000));
  Observe(Snapshot(3s).CountedFrom(2'500ms).Tx(100));
  Observe(End(4s).CountedFrom(2'500ms).Tx(150));
  EXPECT_EQ(Rows().back().second.totals.tx_payload_bytes, 5'150U);
  EXPECT_EQ(aggregator_.counters().counter_restarts, 1U);
}

TEST_F(AggregatorTest, APeerThatComesBackGoesOnFromItsFormerCounters) {
  const auto peer = [](FlowReason reason, std::chrono::nanoseconds t) {
    return Flow().Protocol(IPPROTO_UDP).Flags(CULPRIT_FLOW_PEER).Reason(reason).When(t);
  };
  RunUntil(1s);
  Observe(peer(FlowReason::kFirst, 1s).Tx(100));
  Observe(peer(FlowReason::kEnd, 2s).Tx(400));
  EXPECT_EQ(Rows().back().second.totals.tx_payload_bytes, 400U);
  Observe(peer(FlowReason::kFirst, 3s).CountedFrom(3s).Tx(50));
  Observe(peer(FlowReason::kEnd, 4s).CountedFrom(3s).Tx(70));
  EXPECT_EQ(Rows().back().second.totals.tx_payload_bytes, 470U);
}

TEST_F(AggregatorTest, PeersOfOneSocketAreFlowsOfTheirOwn) {
  RunUntil(1s);
  for (const char* remote : {"198.51.100.1:53", "198.51.100.2:53", "[2001:db8::1]:53"}) {
    Observe(Flow()
                .Protocol(IPPROTO_UDP)
                .Flags(CULPRIT_FLOW_PEER)
                .Remote(remote)
                .Reason(FlowReason::kFirst)
                .When(1s)
                .Tx(40));
  }
  RunUntil(2s);
  EXPECT_EQ(aggregator_.live_flows(), 3U);
}

struct DirectionCase {
  std::string_view name;
  std::string local, remote;
  Direction expected;
};
class DirectionTest : public AggregatorTest, public ::testing::WithParamInterface<DirectionCase> {};

TEST_P(DirectionTest, OfASocketFoundOpenFollowsItsListenerOrItsPorts) {
  RunUntil(1s);
  Observe(Snapshot(1s)
              .Cookie(5)
              .Local(GetParam().local)
              .Remote(GetParam().remote)
              .Dir(Direction::kUnknown)
              .Flags(CULPRIT_FLOW_PREEXISTING));
  // The iterator delivers listeners in no order: this one comes after its connection.
  Observe(Snapshot(1s).Cookie(6).Local("0.0.0.0:8080").Remote("0.0.0.0").Dir(Direction::kListen));
  RunUntil(2s);
  bool found = false;
  for (const auto& [lane, row] : Rows()) {
    if (row.cookie == SocketCookie{6}) {
      EXPECT_EQ(row.state, FlowState::kListening);
    } else {
      EXPECT_EQ(row.direction, GetParam().expected);
      found = true;
    }
  }
  EXPECT_TRUE(found);
}

INSTANTIATE_TEST_SUITE_P(
    Ports, DirectionTest,
    ::testing::ValuesIn(std::vector<DirectionCase>{
        {"Listener", "192.0.2.1:8080", "198.51.100.7:443", Direction::kIn},
        {"WellKnownRemote", "192.0.2.1:40000", "198.51.100.7:443", Direction::kOut},
        {"WellKnownLocal", "192.0.2.1:22", "198.51.100.7:50000", Direction::kIn},
        {"RegisteredRemote", "192.0.2.1:40000", "198.51.100.7:5432", Direction::kOut},
        {"RegisteredLocal", "192.0.2.1:5432", "198.51.100.7:50000", Direction::kIn},
        {"BothEphemeral", "192.0.2.1:40000", "198.51.100.7:50000", Direction::kUnknown},
        {"BothWellKnown", "192.0.2.1:500", "198.51.100.7:500", Direction::kUnknown},
    }),
    [](const auto& p) { return std::string(p.param.name); });

TEST_F(AggregatorTest, AFullTableEvictsTheSilentAndTellsOfIt) {
  AggregateLimits limits;
  limits.max_flows = 50;
  Aggregator small(BootId(), RunId(), limits);
  for (std::uint64_t cookie = 1; cookie <= 120; ++cookie) {
    const FlowEvent event =
        Snapshot(1s + std::chrono::milliseconds(cookie)).Cookie(cookie).Tx(cookie).Build();
    small.OnFlow({event, IdOf(event.owner), IdOf(event.creator), false});
  }
  EXPECT_EQ(small.live_flows(), 50U);
  EXPECT_EQ(small.counters().flows_evicted, 70U);
  RecordBatch batch = small.TakeBatch(Lane::kEvidence);
  EXPECT_EQ(batch.flows.size(), 70U);
  ASSERT_THAT(batch.losses, SizeIs(1));
  EXPECT_EQ(batch.losses[0].cause, LossCause::kAgentTableFull);
  EXPECT_EQ(batch.losses[0].count, 70U);
  EXPECT_EQ(batch.losses[0].detail, "flows=70");
  // One that was evicted goes on with the same cumulative row.
  const FlowEvent end = End(5s).Cookie(1).Tx(900).Build();
  small.OnFlow({end, IdOf(end.owner), IdOf(end.creator), false});
  const auto rows = small.TakeBatch(Lane::kEvidence).flows;
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.back().totals.tx_payload_bytes, 900U);
}

TEST_F(AggregatorTest, PendingRowsAreBoundedAndTheLossIsTold) {
  AggregateLimits limits;
  limits.max_pending_rows = 100;
  Aggregator small(BootId(), RunId(), limits);
  for (std::uint64_t cookie = 1; cookie <= 1'000; ++cookie) {
    const FlowEvent event = End(1s).Cookie(cookie).Build();
    small.OnFlow({event, IdOf(event.owner), IdOf(event.creator), false});
  }
  const RecordBatch batch = small.TakeBatch(Lane::kEvidence, 4'000);
  EXPECT_EQ(batch.flows.size(), 100U);
  EXPECT_EQ(batch.flows.back().cookie, SocketCookie{1'000});
  ASSERT_THAT(batch.losses, SizeIs(1));
  EXPECT_EQ(batch.losses[0].count, 900U);
}

TEST_F(AggregatorTest, ABatchHoldsNoFlowBeforeTheDefinitionsItRefersTo) {
  for (std::uint32_t i = 0; i < 10; ++i) {
    ProcessFacts facts;
    facts.id = ProcessId{i + 1};
    aggregator_.OnProcess(facts);
  }
  Observe(End(1s));
  const RecordBatch first = aggregator_.TakeBatch(Lane::kEvidence, 6);
  EXPECT_THAT(first.processes, SizeIs(6));
  EXPECT_THAT(first.flows, IsEmpty());
  const RecordBatch second = aggregator_.TakeBatch(Lane::kEvidence, 6);
  EXPECT_THAT(second.processes, SizeIs(4));
  EXPECT_THAT(second.flows, SizeIs(1));
  EXPECT_EQ(aggregator_.pending(Lane::kEvidence), 0U);
}

TEST_F(AggregatorTest, DefinitionsInABatchAreBoundedByTheirText) {
  for (int i = 0; i < 2'000; ++i) {
    ProcessFacts facts;
    facts.argv = {std::string(1'000, 'x')};
    aggregator_.OnProcess(facts);
  }
  std::size_t batches = 0;
  while (aggregator_.pending(Lane::kEvidence) > 0) {
    const RecordBatch batch = aggregator_.TakeBatch(Lane::kEvidence, 4'000);
    ASSERT_FALSE(batch.processes.empty());
    EXPECT_LE(batch.processes.size() * 1'256, limits_.max_batch_bytes);
    ++batches;
  }
  EXPECT_GE(batches, 5U);
}

TEST_F(AggregatorTest, AForwardedFlowHasNoProcessAndIsOpenUntilItEnds) {
  const auto forwarded = [](FlowReason reason, std::chrono::nanoseconds t, std::uint64_t bytes) {
    FlowEvent event = Flow().Reason(reason).When(t).Tx(bytes).Owner({}).Creator({}).Build();
    event.direction = Direction::kForwarded;
    event.in_ifindex = 2;
    event.out_ifindex = 3;
    return event;
  };
  Observe(forwarded(FlowReason::kFirst, 1s, 100));
  RunUntil(2s);
  auto rows = Rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].second.state, FlowState::kOpen);
  EXPECT_EQ(rows[0].second.direction, Direction::kForwarded);
  EXPECT_EQ(rows[0].second.process, ProcessId{});
  EXPECT_EQ(rows[0].second.in_ifindex, 2U);
  EXPECT_EQ(rows[0].second.out_ifindex, 3U);
  Observe(forwarded(FlowReason::kSnapshot, 3s, 5'000));
  Observe(forwarded(FlowReason::kEnd, 4s, 9'000));
  rows = Rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].second.state, FlowState::kClosed);
  EXPECT_EQ(rows[0].second.totals.tx_payload_bytes, 9'000U);
}

TEST_F(AggregatorTest, FlushAllTellsWhatChangedAndKeepsFlowsOpen) {
  RunUntil(1s);
  Observe(Established(1s));
  RunUntil(2s);
  Rows();
  Observe(Snapshot(2s).Tx(77));
  aggregator_.FlushAll(At(2'001ms));
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].second.totals.tx_payload_bytes, 77U);
  EXPECT_EQ(aggregator_.live_flows(), 1U);
}

TEST_F(AggregatorTest, TheAgentsOwnFlowsAreLabelled) {
  Observe(End(1s).Build(), true);
  EXPECT_EQ(Rows().back().second.flags, kFlowFlagAgent);
}

TEST_F(AggregatorTest, TheTupleMissingAtTheEndIsTheOneSeenBefore) {
  RunUntil(1s);
  Observe(Established(1s));
  Observe(End(2s).Local("0.0.0.0:0").Remote("0.0.0.0:0"));
  EXPECT_EQ(Rows().back().second.remote.ToString(), "198.51.100.7:443");
}

TEST_F(AggregatorTest, ALongPauseOfTheClockLosesNoTimer) {
  RunUntil(1s);
  for (std::uint64_t cookie = 1; cookie <= 100; ++cookie) Observe(Established(1s).Cookie(cookie));
  now_ = 100'000s;
  RunUntil(100'000s);
  std::size_t told = 0;
  for (const auto& [lane, row] : Rows()) told += lane == Lane::kEvidence ? 1 : 0;
  EXPECT_EQ(told, 100U);
}

}  // namespace
}  // namespace culprit
