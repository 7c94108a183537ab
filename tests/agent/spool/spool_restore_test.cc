// SPDX-License-Identifier: Apache-2.0
// Files of a spool that somebody else removes while it is open.
#include <gmock/gmock.h>

#include <filesystem>

#include "common/file.h"
#include "tests/agent/spool/spool_fixture.h"

namespace culprit {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class SpoolRestoreTest : public SpoolFixture {
 protected:
  SpoolRestoreTest() {
    options_.max_bytes = 64 << 10;
    options_.segment_bytes = 4 << 10;
  }
  void RemoveAll() const {
    const auto names = ListDirectory(options_.directory);
    ASSERT_TRUE(names);
    for (const std::string& name : *names) ASSERT_TRUE(RemoveFile(PathOf(name)));
  }
  void Restore() {
    const Status restored = spool_->RestoreRemoved();
    ASSERT_TRUE(restored) << restored.error().message;
  }
  // That the chain in the lane goes on from `seq`, and in the same stream.
  void ExpectNext(Lane lane, std::uint64_t seq) {
    const Sha256Digest before = spool_->lane(lane).newest_hash;
    const auto header = Append(lane);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->seq, seq);
    EXPECT_EQ(header->prev_hash, before);
  }
};

TEST_F(SpoolRestoreTest, WhatIsBeingWrittenIsWrittenAgainAndNothingIsLost) {
  Open();
  AppendMany(Lane::kEvidence, 3);
  AppendMany(Lane::kBulk, 2);
  const Uuid stream = spool_->stream_id();
  RemoveAll();
  AppendMany(Lane::kEvidence, 2);  // nobody has noticed yet
  Restore();
  EXPECT_EQ(spool_->files_removed(), 2U);
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  ExpectNext(Lane::kEvidence, 6);
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 6));
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 2));
  Open();
  EXPECT_EQ(spool_->stream_id(), stream);
  EXPECT_EQ(spool_->stream_reason(), "new");  // nothing is acked: the collector may not have heard
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 6));
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
}

TEST_F(SpoolRestoreTest, ADirectoryThatIsGoneIsMadeAgainAndLocked) {
  Open();
  AppendMany(Lane::kBulk, 2);
  std::filesystem::remove_all(options_.directory);
  Restore();
  EXPECT_FALSE(Spool::Open(options_));
  ExpectNext(Lane::kBulk, 3);
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 3));
}

TEST_F(SpoolRestoreTest, ClosedSegmentsThatAreGoneAreDeclaredWithRangeAndHash) {
  Open();
  AppendMany(Lane::kBulk, 33);
  const auto segments = spool_->segments(Lane::kBulk);
  ASSERT_GE(segments.size(), 3U);
  const std::uint64_t last_closed = segments[segments.size() - 2].last_seq;
  const Sha256Digest end = *spool_->HashOf(Lane::kBulk, last_closed);
  ASSERT_TRUE(spool_->Acknowledge(Lane::kBulk, 2));  // in the middle of the first
  RemoveAll();
  Restore();
  EXPECT_EQ(spool_->files_removed(), segments.size());
  const auto losses = spool_->TakeLosses();
  ASSERT_THAT(losses, SizeIs(1));
  EXPECT_EQ(losses[0].cause, SpoolLoss::Cause::kCorrupt);
  EXPECT_EQ(losses[0].lane, Lane::kBulk);
  EXPECT_EQ(losses[0].first_seq, 3U);
  EXPECT_EQ(losses[0].last_seq, last_closed);
  EXPECT_EQ(losses[0].frames, last_closed - 2);
  EXPECT_EQ(losses[0].end_hash, end);
  ExpectNext(Lane::kBulk, 34);
  EXPECT_EQ(Seqs(Lane::kBulk), Range(last_closed + 1, 34));
  EXPECT_EQ(Read(Lane::kBulk).front().header.prev_hash, end);
}

TEST_F(SpoolRestoreTest, TheNextStartKnowsTheLossAndReportsItOnce) {
  Open();
  AppendMany(Lane::kBulk, 33);
  const Uuid stream = spool_->stream_id();
  RemoveAll();
  Restore();
  Open();
  EXPECT_EQ(spool_->stream_id(), stream);
  ASSERT_THAT(spool_->TakeLosses(), SizeIs(1));
  ASSERT_TRUE(spool_->Append(Lane::kEvidence, FrameKind::kLoss, ReadClockPair(), 1, "told"));
  Open();
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  ExpectNext(Lane::kBulk, 34);
}

TEST_F(SpoolRestoreTest, ASegmentThatFillsUpBeforeAnybodyLooksIsNotLost) {
  Open();
  AppendMany(Lane::kBulk, 2);
  std::filesystem::remove_all(options_.directory);
  AppendMany(Lane::kBulk, 40);
  EXPECT_GE(spool_->files_removed(), 1U);
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 42));
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
}

TEST_F(SpoolRestoreTest, WhatIsAckedIsNoLoss) {
  Open();
  AppendMany(Lane::kEvidence, 4);
  ASSERT_TRUE(spool_->Acknowledge(Lane::kEvidence, 4));
  RemoveAll();
  Restore();
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  Open();
  EXPECT_EQ(spool_->stream_reason(), "resumed");
  ExpectNext(Lane::kEvidence, 5);
}

TEST_F(SpoolRestoreTest, ASpoolThatIsWholeIsLeftAlone) {
  Open();
  AppendMany(Lane::kBulk, 12);
  const auto before = SegmentFiles();
  Restore();
  EXPECT_EQ(SegmentFiles(), before);
  EXPECT_EQ(spool_->files_removed(), 0U);
  ExpectNext(Lane::kBulk, 13);
}

}  // namespace
}  // namespace culprit
