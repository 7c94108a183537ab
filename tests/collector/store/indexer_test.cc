// SPDX-License-Identifier: Apache-2.0
#include "collector/store/indexer.h"

#include <fmt/format.h>

#include <fstream>
#include <thread>

#include "tests/collector/store/memory_journal.h"
#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

class IndexerTest : public StoreFixture {
 protected:
  // Flows that open, grow, restart their counting and close, on three hosts.
  void Fill(int frames) {
    for (int i = 0; i < frames; ++i) {
      v1::EvidenceBatch batch;
      const auto agent = static_cast<std::uint8_t>(1 + i % 3);
      for (std::uint64_t k = 0; k < 20; ++k) {
        Row row;
        row.flow = (k + static_cast<std::uint64_t>(i)) % 40 + 1;
        row.process = 100 + row.flow % 4;
        row.remote = fmt::format("198.51.100.{}", row.flow % 9);
        row.emitted = i * 7.25;
        row.tx = (static_cast<std::uint64_t>(i) * 977 + row.flow * 31) % 5000;
        row.state = (i + static_cast<int>(k)) % 11 == 0 ? v1::FLOW_STATE_CLOSED : v1::FLOW_STATE_OPEN;
        AppendRow(row, batch.mutable_flows());
      }
      *batch.add_processes() = MakeProcess(100 + static_cast<std::uint64_t>(i % 4), 0, 7, "/bin/x", "root");
      journal_.Add(MakeStored(0, batch, i * 7.25 + 1, agent));
    }
  }
  std::string Answers() {
    std::string out;
    for (const GroupBy by : {GroupBy::kFlow, GroupBy::kProcess, GroupBy::kDestination, GroupBy::kExe}) {
      AggregatePlan plan;
      plan.by = by;
      plan.order = OrderBy::kBytes;
      plan.limit = 10'000;
      plan.where.from = WallTimeFromNs(WallAt(13));
      const AggregateResult result = Ask(plan);
      for (const FlowTotal& f : result.flows) {
        out += fmt::format("{} {} {} {} {}\n", f.host, f.facts.flow.value(), f.sum.tx_wire_bytes,
                           static_cast<int>(f.facts.state), ToNs(f.facts.last));
      }
      for (const GroupTotal& g : result.groups) {
        out += fmt::format("{} {} {} {}\n", g.key, g.flows, g.sum.tx_wire_bytes, g.destinations);
      }
    }
    return out;
  }
  void RunUntilApplied(Lsn lsn) {
    Indexer indexer(journal_, *store_, {std::chrono::milliseconds(5), 0, {}, {}});
    std::jthread thread([&](std::stop_token stop) { indexer.Run(stop); });
    while (store_->applied_lsn() < lsn) store_->WaitApplied(lsn - 1, std::chrono::seconds(1));
    EXPECT_EQ(indexer.stats().failing, "");
    EXPECT_EQ(indexer.stats().lag, journal_.stats().durable_lsn - lsn);
  }
  MemoryJournal journal_;
};

TEST_F(IndexerTest, FollowsTheJournalOverRestartsAndReindexGivesTheSameAnswers) {
  options_.part_rows = 300;
  options_.transaction_rows = 64;
  for (int round = 1; round <= 4; ++round) {
    Open();
    Fill(20);
    RunUntilApplied(static_cast<Lsn>(round) * 20);
  }
  const std::string incremental = Answers();
  EXPECT_GT(incremental.size(), 1000U);
  store_.reset();
  const auto rebuilt = Reindex(journal_, options_, nullptr);
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  EXPECT_EQ(rebuilt->applied_lsn, 80U);
  Open();
  EXPECT_EQ(Answers(), incremental);
}

TEST_F(IndexerTest, AFrameAddedWhileRunningIsVisibleWithoutBeingAskedFor) {
  Open();
  Fill(3);
  Indexer indexer(journal_, *store_, {std::chrono::milliseconds(5), 0, {}, {}});
  std::jthread thread([&](std::stop_token stop) { indexer.Run(stop); });
  while (!store_->WaitApplied(2, std::chrono::seconds(1))) continue;
  Fill(1);
  while (!store_->WaitApplied(3, std::chrono::seconds(1))) continue;
  EXPECT_EQ(store_->applied_lsn(), 4U);
}

TEST_F(IndexerTest, AnIndexThatCannotBeUsedIsRebuilt) {
  options_.part_rows = 300;
  Fill(30);
  auto first = OpenOrReindex(journal_, options_);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ((*first)->applied_lsn(), 0U);
  first->reset();
  ASSERT_TRUE(Reindex(journal_, options_, nullptr));
  MemoryJournal empty;
  auto ahead = OpenOrReindex(empty, options_);  // belongs to another journal
  ASSERT_TRUE(ahead) << ahead.error().message;
  EXPECT_EQ((*ahead)->applied_lsn(), 0U);
}

TEST_F(IndexerTest, ReindexRefusesAnIndexInUse) {
  Open();
  const auto rebuilt = Reindex(journal_, options_, nullptr);
  ASSERT_FALSE(rebuilt);
  EXPECT_EQ(rebuilt.error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace culprit::testing
