// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/follower.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/collector/store/memory_journal.h"
#include "tests/support/record_builder.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

class DetectFollowerTest : public ::testing::Test {
 protected:
  // One refused attempt, a frame each.
  void Refuse(int n) {
    for (int i = 0; i < n; ++i, ++sent_) {
      v1::EvidenceBatch batch;
      *batch.add_processes() = MakeProcess(100, 0, 7, "/usr/bin/tool", "root");
      Row row;
      row.flow = static_cast<std::uint64_t>(sent_) + 1;
      row.remote = "198.51.100." + std::to_string(sent_ + 1);
      row.state = v1::FLOW_STATE_FAILED;
      row.start = row.emitted = sent_ * 0.5;
      AppendRow(row, batch.mutable_flows());
      journal_.Add(MakeStored(0, batch, sent_ * 0.5 + 0.1));
    }
  }
  // Ten megabytes a second and frame, through one flow.
  void Upload(int n) {
    for (int i = 0; i < n; ++i) {
      ++sent_;
      v1::EvidenceBatch batch;
      batch.mutable_host()->set_region("ap-south-1");
      *batch.add_processes() = MakeProcess(100, 0, 7, "/usr/bin/tool", "root");
      Row row;
      row.remote = "203.0.113.9";
      row.emitted = sent_;
      row.tx = static_cast<std::uint64_t>(sent_) * 10'000'000;
      row.rx = 1000;
      AppendRow(row, batch.mutable_flows());
      journal_.Add(MakeStored(0, batch, sent_ + 0.1));
    }
  }
  void RunUntilApplied(Lsn lsn) {
    auto store = OpenFindingStore(dir_ / "findings.db");
    ASSERT_TRUE(store);
    DetectFollower follower(journal_, **store, {}, {},
                            [] { return std::vector<AgentIngestStats>(); });
    {
      std::jthread thread([&](const std::stop_token& stop) { follower.Run(stop); });
      while ((*store)->committed() < lsn) std::this_thread::yield();
    }
    EXPECT_EQ(follower.stats().failing, "");
    findings_ = *(*store)->List({});
  }
  MemoryJournal journal_;
  TempDir dir_{TempDir::Where::kMemory};
  std::vector<v1::Finding> findings_;
  int sent_ = 0;
};

TEST_F(DetectFollowerTest, FindsWhatIsInTheJournal) {
  Refuse(12);
  RunUntilApplied(12);
  ASSERT_EQ(findings_.size(), 1U);
  EXPECT_EQ(findings_[0].rule(), "scan");
}

TEST_F(DetectFollowerTest, AStopInTheMiddleOfAScanLosesNothingOfIt) {
  Refuse(6);
  RunUntilApplied(6);
  EXPECT_TRUE(findings_.empty());
  Refuse(6);
  RunUntilApplied(12);
  ASSERT_EQ(findings_.size(), 1U);
}

TEST_F(DetectFollowerTest, OtherThresholdsHoldFromThenOnAndForWhatIsReadAgain) {
  auto store = OpenFindingStore(dir_ / "findings.db");
  ASSERT_TRUE(store);
  DetectThresholds blind;
  blind.scan.net_failures = 1000;
  blind.scan.unanswered = 1000;
  DetectFollower follower(journal_, **store, blind, {},
                          [] { return std::vector<AgentIngestStats>(); });
  std::jthread thread([&](const std::stop_token& stop) { follower.Run(stop); });
  Refuse(12);
  while ((*store)->committed() < 12) std::this_thread::yield();
  EXPECT_TRUE((*store)->List({})->empty());
  follower.Retune({}, {});
  while ((*store)->List({})->empty()) std::this_thread::yield();
  EXPECT_EQ((*store)->List({})->at(0).rule(), "scan");
  EXPECT_EQ((*store)->committed(), 12U);
}

// The tail that is read again does not count twice, and what went before it is not lost.
TEST_F(DetectFollowerTest, TheCostOfAnEpisodeGoesOnOverAStop) {
  Upload(100);
  RunUntilApplied(100);
  ASSERT_EQ(findings_.size(), 1U);
  const v1::Finding before = findings_[0];
  EXPECT_GT(before.cost().shares(0).tx_bytes(), 900'000'000U);
  Upload(100);
  RunUntilApplied(200);
  ASSERT_EQ(findings_.size(), 1U);
  EXPECT_EQ(findings_[0].id(), before.id());
  EXPECT_NEAR(static_cast<double>(findings_[0].cost().shares(0).tx_bytes()), 1.95e9, 0.06e9);
  EXPECT_NEAR(static_cast<double>(findings_[0].targets(0).tx_bytes()), 1.95e9, 0.06e9);
}

TEST_F(DetectFollowerTest, TheBaselineIsKept) {
  Upload(3);
  RunUntilApplied(3);
  auto store = OpenFindingStore(dir_ / "findings.db");
  ASSERT_TRUE(store);
  const auto rows = (*store)->LoadSeen();
  ASSERT_TRUE(rows);
  EXPECT_TRUE(std::any_of(rows->begin(), rows->end(), [](const SeenRow& row) {
    return row.kind == SeenKind::kProgram && row.name == "/usr/bin/tool";
  }));
  EXPECT_TRUE(std::any_of(rows->begin(), rows->end(), [](const SeenRow& row) {
    return row.kind == SeenKind::kDestination &&
           row.name == IpAddress::Parse("203.0.113.9")->AsBytes();
  }));
}

TEST_F(DetectFollowerTest, AStopInTheMiddleOfAnEpisodeIsNoSecondFinding) {
  Refuse(12);
  RunUntilApplied(12);
  const std::string id = findings_.at(0).id();
  Refuse(30);
  RunUntilApplied(42);
  ASSERT_EQ(findings_.size(), 1U);
  EXPECT_EQ(findings_[0].id(), id);
  EXPECT_GT(findings_[0].last_lsn(), 12U);
}

}  // namespace
}  // namespace culprit::testing
