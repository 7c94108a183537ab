// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/loss_ledger.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

SpoolLoss CapLoss(std::uint64_t first, std::uint64_t last) {
  SpoolLoss loss;
  loss.lane = Lane::kBulk;
  loss.first_seq = first;
  loss.last_seq = last;
  loss.frames = last - first + 1;
  return loss;
}

TEST(LossLedgerTest, AdjacentLossesBecomeOneAndOthersDoNot) {
  LossLedger ledger;
  ledger.Add(CapLoss(1, 10));
  ledger.Add(CapLoss(11, 20));
  ledger.Add(CapLoss(30, 31));
  const auto taken = ledger.Take(0);
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0].last_seq, 20U);
  EXPECT_EQ(taken[0].frames, 20U);
}

TEST(LossLedgerTest, AHoleThatIsKnownIsNotReportedTwice) {
  LossLedger ledger;
  ledger.Add(CapLoss(1, 10));
  ledger.Take(0);
  ledger.LossFrameWritten();
  ledger.AddHole(CapLoss(1, 10));
  EXPECT_FALSE(ledger.has_pending());
  ledger.AddHole(CapLoss(5, 12));
  const auto taken = ledger.Take(0);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].first_seq, 11U);
  EXPECT_EQ(taken[0].frames, 2U);
}

TEST(LossLedgerTest, TakenBeforeACrashIsPendingUnlessItsFrameIsThere) {
  LossLedger before;
  before.Add(CapLoss(1, 10));
  before.Take(7);
  LossLedger lost;
  lost.Restore(before.losses(), 7);
  EXPECT_TRUE(lost.has_pending());
  LossLedger written;
  written.Restore(before.losses(), 8);
  EXPECT_FALSE(written.has_pending());
}

TEST(LossLedgerTest, StaysSmallWhateverIsLost) {
  LossLedger ledger;
  for (std::uint64_t seq = 1; seq < 4000; seq += 2) ledger.Add(CapLoss(seq, seq));
  const auto taken = ledger.Take(0);
  EXPECT_LE(taken.size(), 64U);
  std::uint64_t frames = 0;
  for (const SpoolLoss& loss : taken) frames += loss.frames;
  EXPECT_EQ(frames, 2000U);
}

TEST(LossLedgerTest, TheNextStreamKeepsWhatWasNotDeclaredWithoutOldNumbers) {
  LossLedger ledger;
  ledger.Add(CapLoss(1, 10));
  ledger.Take(0);
  ledger.LossFrameWritten();
  ledger.Add(CapLoss(20, 22));
  ledger.EndStream(Uuid::Random());
  const auto taken = ledger.Take(0);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].first_seq, 0U);
  EXPECT_EQ(taken[0].frames, 3U);
  EXPECT_NE(taken[0].detail.find("seq 20 to 22"), std::string::npos);
}

}  // namespace
}  // namespace culprit
