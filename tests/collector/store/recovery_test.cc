// SPDX-License-Identifier: Apache-2.0
#include <fstream>

#include "collector/sqlite/sqlite_db.h"
#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

class RecoveryTest : public StoreFixture {
 protected:
  // A flow that goes on over many parts, and others beside it.
  void TakeHours(int hours) {
    for (int i = 0; i < hours; ++i) {
      Row row;
      row.emitted = ++ticks_ * 3600;
      row.tx = static_cast<std::uint64_t>(ticks_) * 1000;
      Row other;
      other.flow = 100 + static_cast<std::uint64_t>(ticks_);
      other.start = row.emitted - 1;
      other.emitted = row.emitted;
      other.tx = 5;
      other.state = v1::FLOW_STATE_CLOSED;
      TakeRows({row, other}, row.emitted);
    }
  }
  std::uint64_t TotalOf(std::uint64_t flow) {
    for (const FlowTotal& f : Ask({}).flows) {
      if (f.facts.flow.value() == flow) return f.sum.tx_wire_bytes;
    }
    return 0;
  }
  int ticks_ = 0;
};

TEST_F(RecoveryTest, AFlowIsOneFlowOverParts) {
  Open();
  TakeHours(5);
  EXPECT_EQ(PartFiles().size(), 5U);
  EXPECT_EQ(TotalOf(1), 5000U);
  AggregatePlan plan;
  plan.by = GroupBy::kDestination;
  EXPECT_EQ(Ask(plan).groups.at(0).sum.tx_wire_bytes, 5025U);
}

TEST_F(RecoveryTest, DeltasGoOnAfterAReopenInTheMiddleOfAPart) {
  options_.part_age = std::chrono::hours(3);
  Open();
  TakeHours(2);
  Open();
  TakeHours(3);
  Open();
  TakeHours(1);
  EXPECT_EQ(store_->applied_lsn(), 6U);
  EXPECT_EQ(TotalOf(1), 6000U);
  EXPECT_EQ(Ask({}).flows.size(), 7U);
}

TEST_F(RecoveryTest, WhatWasNotFlushedIsTakenAgain) {
  Open();
  TakeHours(1);
  Row row;
  row.emitted = 3700;
  row.tx = 1500;
  const DecodedFrame frame = DecodeStoredFrame(MakeStored(2, {row}, 3700));
  // A copy of the files as they are while the second frame is only in memory.
  ASSERT_TRUE(store_->Append({&frame, 1}));
  const std::string crashed = root_ + "/crashed";
  std::filesystem::copy(options_.directory, crashed);
  store_.reset();
  options_.directory = crashed;
  Open();
  EXPECT_EQ(store_->applied_lsn(), 1U);
  ASSERT_TRUE(store_->Append({&frame, 1}));
  ASSERT_TRUE(store_->Flush());
  EXPECT_EQ(TotalOf(1), 1500U);
}

TEST_F(RecoveryTest, BasesThatDoNotFitIntoMemoryAreKeptOverPartsAndReopening) {
  options_.max_flow_bases = 10;
  Open();
  for (int round = 1; round <= 3; ++round) {
    std::vector<Row> rows;
    for (std::uint64_t flow = 1; flow <= 50; ++flow) {
      Row row;
      row.flow = flow;
      row.emitted = round * 3600;
      row.tx = static_cast<std::uint64_t>(round) * 1000;
      rows.push_back(row);
    }
    TakeRows(rows, round * 3600);
    if (round == 2) Open();
  }
  AggregatePlan plan;
  plan.by = GroupBy::kHost;
  EXPECT_EQ(Ask(plan).groups.at(0).sum.tx_wire_bytes, 150'000U);
  for (const FlowTotal& f : Ask({}).flows) EXPECT_EQ(f.sum.tx_wire_bytes, 3000U);
}

TEST_F(RecoveryTest, APartThatWasOpenWhenTheMachineWentDownIsIndexedAgain) {
  Open();
  TakeHours(3);
  store_.reset();
  std::ofstream(options_.directory + "/BOOT") << "another boot\n";
  Open();
  EXPECT_EQ(store_->applied_lsn(), 2U);
  EXPECT_EQ(store_->stats().degraded.size(), 1U);
  ticks_ = 2;
  lsn_ = 2;
  TakeHours(1);
  EXPECT_EQ(TotalOf(1), 3000U);
}

void Overwrite(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const auto size = file.tellg();
  file.seekp(0);
  for (std::streamoff i = 0; i < size; i += 4) file.write("junk", 4);
}

TEST_F(RecoveryTest, DamagedOldPartIsNamedWithItsRangeAndTheRestAnswers) {
  Open();
  TakeHours(4);
  store_.reset();
  Overwrite(PartFiles()[1]);
  Open();
  const StoreStats stats = store_->stats();
  ASSERT_EQ(stats.degraded.size(), 1U);
  EXPECT_NE(stats.degraded[0].find("LSN 2 to 2"), std::string::npos) << stats.degraded[0];
  EXPECT_NE(stats.degraded[0].find("reindex"), std::string::npos);
  EXPECT_EQ(Ask({}).flows.size(), 4U);
}

TEST_F(RecoveryTest, DamagedNewestPartIsSetAsideAndItsRangeTakenAgain) {
  Open();
  TakeHours(3);
  store_.reset();
  Overwrite(PartFiles()[2]);
  Open();
  EXPECT_EQ(store_->applied_lsn(), 2U);
  ticks_ = 2;
  lsn_ = 2;
  TakeHours(1);
  EXPECT_EQ(TotalOf(1), 3000U);
  EXPECT_EQ(store_->stats().degraded.size(), 1U);
}

TEST_F(RecoveryTest, AnotherSchemaVersionAsksForReindex) {
  Open();
  TakeHours(2);
  store_.reset();
  {
    auto db = SqliteDb::Open(PartFiles()[0], SqliteDb::Mode::kReadWrite);
    ASSERT_TRUE(db);
    ASSERT_TRUE(db->Exec("PRAGMA user_version=999"));
  }
  const auto store = OpenSqliteStore(options_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kFailedPrecondition);
  EXPECT_NE(store.error().message.find("reindex"), std::string::npos);
}

TEST_F(RecoveryTest, TwoWritersAreRefused) {
  Open();
  EXPECT_FALSE(OpenSqliteStore(options_));
}

TEST_F(RecoveryTest, RetentionRemovesWholeOldPartsAndNeverTheOpenOne) {
  Open();
  TakeHours(5);
  RetentionPolicy policy;
  policy.older_than = WallTimeFromNs(WallAt(3 * 3600 - 1));
  ASSERT_TRUE(store_->Retain(policy));
  EXPECT_EQ(PartFiles().size(), 3U);
  EXPECT_EQ(Ask({}).flows.size(), 4U);
  EXPECT_EQ(TotalOf(1), 3000U);
  policy.older_than.reset();
  policy.max_bytes = 1;
  ASSERT_TRUE(store_->Retain(policy));
  EXPECT_EQ(PartFiles().size(), 1U);
  TakeHours(1);
  EXPECT_EQ(TotalOf(1), 2000U);
}

}  // namespace
}  // namespace culprit::testing
