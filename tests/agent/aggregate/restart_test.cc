// SPDX-License-Identifier: Apache-2.0
// What an agent that was killed and started again makes of flows that go on.
#include <gtest/gtest.h>

#include <map>

#include "tests/agent/aggregate/aggregator_fixture.h"

namespace culprit {
namespace {

using testing::At;
using testing::BootId;
using testing::Flow;
using testing::IdOf;
using testing::Key;
using testing::RunId;
using namespace std::chrono_literals;

class Memory final : public FlowMemory {
 public:
  void Put(const RememberedPart& part) override {
    RememberedPart& kept = parts[{part.flow.value(), part.process.value()}];
    kept = part;
    kept.order = ++order;
  }
  void Forget(FlowId flow) override {
    std::erase_if(parts, [&](const auto& entry) { return entry.second.flow == flow; });
  }
  std::vector<RememberedPart> All() const {
    std::vector<RememberedPart> all;
    for (const auto& [key, part] : parts) all.push_back(part);
    return all;
  }
  std::map<std::pair<std::uint64_t, std::uint64_t>, RememberedPart> parts;
  std::uint64_t order = 0;
};

// Runs of an agent one after the other. `told` is what a collector adds up: the newest sum of each
// (flow, process).
class RestartTest : public ::testing::Test {
 protected:
  void SetUp() override { Restart(); }
  void Restart() {
    aggregator_ = std::make_unique<Aggregator>(BootId(), RunId(), AggregateLimits{});
    aggregator_->Remember(&memory_, memory_.All());
  }
  void Observe(const Flow& flow) {
    const FlowEvent event = flow.Build();
    aggregator_->OnFlow({event, IdOf(event.owner), IdOf(event.creator)});
    aggregator_->FlushAll(event.at);
    for (const FlowRow& row : aggregator_->TakeBatch(Lane::kEvidence, 1'000).flows) {
      std::uint64_t& told = told_[{row.flow.value(), row.process.value()}];
      EXPECT_GE(row.totals.tx_payload_bytes, told) << "a sum goes down: it would be counted again";
      told = row.totals.tx_payload_bytes;
      start_ = row.start;
    }
  }
  std::uint64_t Told(const ProcessKey& process) const {
    std::uint64_t sum = 0;
    for (const auto& [key, bytes] : told_) sum += key.second == IdOf(process).value() ? bytes : 0;
    return sum;
  }
  static Flow Tcp(std::chrono::nanoseconds t, std::uint64_t bytes) {
    return Flow().Reason(FlowReason::kSnapshot).Established(1s).TcpState(1).When(t).Tx(bytes);
  }
  // As it is found by an agent that starts at `from`.
  static Flow Reread(std::chrono::nanoseconds from, std::chrono::nanoseconds t,
                     std::uint64_t bytes) {
    return Tcp(t, bytes).CountedFrom(from).Flags(CULPRIT_FLOW_PREEXISTING | CULPRIT_FLOW_REREAD);
  }
  static Flow Udp(std::chrono::nanoseconds from, std::chrono::nanoseconds t, std::uint64_t bytes) {
    return Flow()
        .Protocol(IPPROTO_UDP)
        .Reason(FlowReason::kSnapshot)
        .CountedFrom(from)
        .When(t)
        .Tx(bytes);
  }

  Memory memory_;
  std::unique_ptr<Aggregator> aggregator_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> told_;
  BootTime start_;
};

TEST_F(RestartTest, AConnectionGoesOnWithoutAJump) {
  Observe(Tcp(2s, 5'000));
  const BootTime start = start_;
  Restart();
  Observe(Reread(10s, 11s, 8'000));
  EXPECT_EQ(Told(Key(100)), 8'000U);
  Restart();
  Observe(Reread(20s, 21s, 9'000));
  EXPECT_EQ(Told(Key(100)), 9'000U);
  EXPECT_EQ(start_, start);
  EXPECT_EQ(aggregator_->counters().flows_resumed, 1U);
}

TEST_F(RestartTest, AFewBytesLessInTheKernelsOwnCountersChangeNothing) {
  Observe(Tcp(2s, 5'000));
  Restart();
  Observe(Reread(10s, 11s, 4'990));
  Observe(Reread(10s, 12s, 5'100));
  EXPECT_EQ(Told(Key(100)), 5'100U);
  EXPECT_EQ(aggregator_->counters().counter_restarts, 0U);
}

TEST_F(RestartTest, AnotherOwnerAfterTheRestartIsChargedOnlyWithWhatIsNew) {
  Observe(Tcp(2s, 3'000));
  Observe(Tcp(3s, 5'000).Owner(Key(200)));
  Restart();
  Observe(Reread(10s, 11s, 9'000).Owner(Key(300)));
  EXPECT_EQ(Told(Key(100)), 3'000U);
  EXPECT_EQ(Told(Key(200)), 2'000U);
  EXPECT_EQ(Told(Key(300)), 4'000U);
  Observe(Reread(10s, 12s, 9'500).Owner(Key(100)));
  EXPECT_EQ(Told(Key(100)), 3'500U);
}

TEST_F(RestartTest, CountersThatBeginAtZeroAreAdded) {
  Observe(Udp(1s, 2s, 700));
  Restart();
  Observe(Udp(10s, 11s, 900));  // more than all that was before
  EXPECT_EQ(Told(Key(100)), 1'600U);
  Restart();
  Observe(Udp(20s, 21s, 100));
  EXPECT_EQ(Told(Key(100)), 1'700U);
}

TEST_F(RestartTest, AFlowOlderThanTheFirstAgentShowsItsWholeLife) {
  Observe(Reread(10s, 11s, 1'000'000));
  EXPECT_EQ(Told(Key(100)), 1'000'000U);
}

TEST_F(RestartTest, WhatHasEndedIsForgotten) {
  Observe(Tcp(2s, 5'000));
  EXPECT_EQ(memory_.parts.size(), 1U);
  Observe(Tcp(3s, 6'000).Reason(FlowReason::kEnd));
  EXPECT_TRUE(memory_.parts.empty());
}

TEST_F(RestartTest, AnEvictedFlowLeavesItsPlace) {
  AggregateLimits limits;
  limits.max_flows = 10;
  Aggregator small(BootId(), RunId(), limits);
  small.Remember(&memory_, {});
  for (std::uint64_t cookie = 1; cookie <= 50; ++cookie) {
    const FlowEvent event = Tcp(2s, 500).Cookie(cookie).Build();
    small.OnFlow({event, IdOf(event.owner), IdOf(event.creator)});
  }
  EXPECT_EQ(memory_.parts.size(), 10U);
}

TEST_F(RestartTest, WhatEndedWhileNoAgentRanIsForgottenAfterAnHour) {
  Observe(Tcp(2s, 5'000));
  Restart();
  aggregator_->Tick(At(10s));
  EXPECT_EQ(memory_.parts.size(), 1U);
  aggregator_->Tick(At(10s + 1h));
  EXPECT_TRUE(memory_.parts.empty());
}

}  // namespace
}  // namespace culprit
