// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/agent/spool/spool_fixture.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SpoolTest : public SpoolFixture {
 protected:
  SpoolTest() {
    options_.max_bytes = 64 << 10;
    options_.segment_bytes = 4 << 10;
  }
};

TEST_F(SpoolTest, FramesComeBackInOrderWithAnUnbrokenChainInEachLane) {
  Open();
  EXPECT_EQ(spool_->stream_reason(), "new");
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Append(i % 3 == 0 ? Lane::kEvidence : Lane::kBulk).has_value());
  }
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 7));
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 13));
  const std::vector<Frame> frames = Read(Lane::kEvidence);
  EXPECT_EQ(frames[0].header.prev_hash, Sha256Digest{});
  EXPECT_EQ(frames[0].header.stream_id, spool_->stream_id());
  const auto inflated = InflatePayload(frames[1].header, frames[1].payload);
  ASSERT_TRUE(inflated.has_value());
  EXPECT_EQ(*inflated, NoiseFor(4, Lane::kEvidence, 300));
  EXPECT_GT(spool_->segments(Lane::kBulk).size(), 1U);
}

TEST_F(SpoolTest, SequenceAndChainRunOnAcrossARestart) {
  Open();
  AppendMany(Lane::kBulk, 5);
  const Uuid stream = spool_->stream_id();
  const Sha256Digest hash = spool_->lane(Lane::kBulk).newest_hash;
  ASSERT_TRUE(spool_->Acknowledge(Lane::kBulk, 2).has_value());
  Open();
  EXPECT_EQ(spool_->stream_id(), stream);
  EXPECT_EQ(spool_->stream_reason(), "resumed");
  EXPECT_EQ(spool_->lane(Lane::kBulk).newest_hash, hash);
  EXPECT_EQ(spool_->lane(Lane::kBulk).acked_seq, 2U);
  const auto header = Append(Lane::kBulk);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->seq, 6U);
  EXPECT_EQ(header->prev_hash, hash);
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 6));
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
}

TEST_F(SpoolTest, TheReasonOfANewStreamStandsUntilSomethingOfItIsAcked) {
  Open();
  AppendMany(Lane::kEvidence, 2);
  Open();
  EXPECT_EQ(spool_->stream_reason(), "new");
  ASSERT_TRUE(spool_->Acknowledge(Lane::kEvidence, 1).has_value());
  Open();
  EXPECT_EQ(spool_->stream_reason(), "resumed");
}

TEST_F(SpoolTest, AckedSegmentsAreUnlinkedAndTheNewestStays) {
  Open();
  AppendMany(Lane::kBulk, 40);
  const std::size_t before = SegmentFiles().size();
  ASSERT_GT(before, 3U);
  ASSERT_TRUE(spool_->Acknowledge(Lane::kBulk, 20).has_value());
  EXPECT_LT(SegmentFiles().size(), before);
  EXPECT_LE(spool_->lane(Lane::kBulk).oldest_seq, 21U);
  ASSERT_TRUE(spool_->Acknowledge(Lane::kBulk, 40).has_value());
  EXPECT_THAT(SegmentFiles(), SizeIs(1));
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  Open();
  EXPECT_EQ(spool_->lane(Lane::kBulk).newest_seq, 40U);
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
}

TEST_F(SpoolTest, AcksNeverMoveBackwardsAndOnesAheadAreRefused) {
  Open();
  AppendMany(Lane::kBulk, 3);
  ASSERT_TRUE(spool_->Acknowledge(Lane::kBulk, 2).has_value());
  ASSERT_TRUE(spool_->Acknowledge(Lane::kBulk, 1).has_value());
  EXPECT_EQ(spool_->lane(Lane::kBulk).acked_seq, 2U);
  const Status ahead = spool_->Acknowledge(Lane::kBulk, 9);
  ASSERT_FALSE(ahead.has_value());
  EXPECT_EQ(ahead.error().code, Code::kOutOfRange);
  EXPECT_EQ(spool_->lane(Lane::kBulk).acked_seq, 3U);
}

TEST_F(SpoolTest, UnderTheCapBulkGoesBeforeEvidenceAndEveryLossIsNamed) {
  Open();
  AppendMany(Lane::kEvidence, 60);  // 26 KiB
  AppendMany(Lane::kBulk, 200);     // 86 KiB
  EXPECT_LE(spool_->bytes(), options_.max_bytes);
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 60));
  const std::uint64_t oldest = spool_->lane(Lane::kBulk).oldest_seq;
  ASSERT_GT(oldest, 1U);
  EXPECT_EQ(Seqs(Lane::kBulk), Range(oldest, 200));

  const auto losses = spool_->TakeLosses();
  ASSERT_THAT(losses, SizeIs(1));
  EXPECT_EQ(losses[0].cause, SpoolLoss::Cause::kCap);
  EXPECT_EQ(losses[0].lane, Lane::kBulk);
  EXPECT_EQ(losses[0].first_seq, 1U);
  EXPECT_EQ(losses[0].last_seq, oldest - 1);
  EXPECT_EQ(losses[0].frames, oldest - 1);
  EXPECT_EQ(losses[0].records, (oldest - 1) * 7);
  EXPECT_EQ(losses[0].end_hash, Read(Lane::kBulk).front().header.prev_hash);
}

TEST_F(SpoolTest, AnotherCapHoldsFromTheNextAppendOn) {
  Open();
  AppendMany(Lane::kBulk, 100);  // 43 KiB
  ASSERT_EQ(spool_->lane(Lane::kBulk).oldest_seq, 1U);
  spool_->SetMaxBytes(24 << 10);
  AppendMany(Lane::kBulk, 1);
  EXPECT_LE(spool_->bytes(), 24U << 10);
  EXPECT_EQ(spool_->TakeLosses().size(), 1U);
  spool_->SetMaxBytes(256 << 10);
  const std::uint64_t oldest = spool_->lane(Lane::kBulk).oldest_seq;
  AppendMany(Lane::kBulk, 100);
  EXPECT_EQ(spool_->lane(Lane::kBulk).oldest_seq, oldest);
}

TEST_F(SpoolTest, EvidenceIsShedOnlyOnceClosedBulkIsGone) {
  Open();
  AppendMany(Lane::kBulk, 30);
  AppendMany(Lane::kEvidence, 300);  // twice the cap
  EXPECT_LE(spool_->bytes(), options_.max_bytes);
  EXPECT_THAT(spool_->segments(Lane::kBulk), SizeIs(::testing::Le(1U)));
  bool evidence_lost = false;
  for (const SpoolLoss& loss : spool_->TakeLosses()) {
    evidence_lost = evidence_lost || loss.lane == Lane::kEvidence;
  }
  EXPECT_TRUE(evidence_lost);
  const std::uint64_t oldest = spool_->lane(Lane::kEvidence).oldest_seq;
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(oldest, 300));
}

TEST_F(SpoolTest, AFrameLargerThanASegmentFitsByClosingAndSheddingWhatIsOpen) {
  Open();
  AppendMany(Lane::kEvidence, 3);
  AppendMany(Lane::kBulk, 3);
  ASSERT_TRUE(Append(Lane::kEvidence, 63 << 10).has_value());
  EXPECT_LE(spool_->bytes(), options_.max_bytes);
  EXPECT_EQ(Seqs(Lane::kEvidence).back(), 4U);
  // The shed lane's chain goes on although none of its files is left.
  Open();
  const auto header = Append(Lane::kBulk);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->seq, 4U);
  EXPECT_NE(header->prev_hash, Sha256Digest{});
}

TEST_F(SpoolTest, ALossIsGivenOutAgainUntilItsFrameIsWritten) {
  Open();
  AppendMany(Lane::kBulk, 200);
  ASSERT_THAT(spool_->TakeLosses(), SizeIs(1));
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  Open();  // before the frame was written
  const auto losses = spool_->TakeLosses();
  ASSERT_THAT(losses, SizeIs(1));
  ASSERT_TRUE(spool_->Append(Lane::kEvidence, FrameKind::kLoss, {}, 1, "losses").has_value());
  Open();
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
}

TEST_F(SpoolTest, LossesOfALongOutageStayOneEntry) {
  Open();
  for (int round = 0; round < 20; ++round) {
    AppendMany(Lane::kBulk, 50);
    for (const SpoolLoss& loss : spool_->TakeLosses()) {
      EXPECT_EQ(loss.frames, loss.last_seq - loss.first_seq + 1);
    }
    ASSERT_TRUE(spool_->Append(Lane::kEvidence, FrameKind::kLoss, {}, 1, "losses").has_value());
  }
  EXPECT_LT(ReadFileBytes(PathOf("losses")).size(), 600U);
  Open();
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
}

TEST_F(SpoolTest, NewStreamCarriesOverWhatIsNotAckedAndNothingElse) {
  Open();
  AppendMany(Lane::kEvidence, 30);
  AppendMany(Lane::kBulk, 4);
  const Uuid old_stream = spool_->stream_id();
  const std::vector<Frame> before = Read(Lane::kEvidence);
  ASSERT_TRUE(spool_->Acknowledge(Lane::kEvidence, 17).has_value());
  ASSERT_FALSE(spool_->Acknowledge(Lane::kBulk, 6).has_value());  // the collector is ahead
  ASSERT_TRUE(spool_->BeginNewStream("tail_lost").has_value());

  EXPECT_NE(spool_->stream_id(), old_stream);
  EXPECT_EQ(spool_->previous_stream_id(), old_stream);
  EXPECT_EQ(spool_->stream_reason(), "tail_lost");
  const std::vector<Frame> after = Read(Lane::kEvidence);
  ASSERT_THAT(after, SizeIs(13));
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].header.seq, i + 1);
    EXPECT_EQ(after[i].header.stream_id, spool_->stream_id());
    EXPECT_EQ(after[i].payload, before[17 + i].payload);
    EXPECT_EQ(after[i].header.clock.boot, before[17 + i].header.clock.boot);
  }
  EXPECT_THAT(Read(Lane::kBulk), IsEmpty());
  EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  ASSERT_TRUE(Append(Lane::kBulk).has_value());
  Open();
  EXPECT_EQ(spool_->stream_reason(), "tail_lost");
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 13));
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 1));
}

TEST_F(SpoolTest, HashOfTellsWhetherTheCollectorHasTheSameFrame) {
  Open();
  AppendMany(Lane::kEvidence, 30);
  const std::vector<Frame> frames = Read(Lane::kEvidence);
  EXPECT_EQ(spool_->HashOf(Lane::kEvidence, 30), frames[29].hash);
  EXPECT_EQ(spool_->HashOf(Lane::kEvidence, 11), frames[10].hash);
  EXPECT_EQ(spool_->HashOf(Lane::kEvidence, 31), std::nullopt);
}

TEST_F(SpoolTest, OnlyOneProcessOpensADirectory) {
  Open();
  const auto second = Spool::Open(options_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
}

TEST_F(SpoolTest, RefusesWhatDoesNotBelong) {
  Open();
  EXPECT_FALSE(spool_->Append(Lane::kBulk, FrameKind::kLoss, {}, 1, "x").has_value());
  EXPECT_FALSE(spool_->Append(Lane::kBulk, FrameKind::kJournalEntry, {}, 1, "x").has_value());
  const auto large = spool_->Append(Lane::kBulk, FrameKind::kBatch, {}, 1,
                                    std::string(kMaxInflatedBytes + 1, 'x'));
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(large.error().code, Code::kInvalidArgument);
  EXPECT_EQ(spool_->lane(Lane::kBulk).newest_seq, 0U);
}

// A file size limit stops writes in the middle of a record, as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(SpoolTest, AFullDiskLosesOnlyWhatDoesNotFitAndSaysSoOnceItWritesAgain) {
  Open();
  AppendMany(Lane::kEvidence, 3);
  {
    const FileSizeLimit limit(2000);
    const auto first = Append(Lane::kEvidence, 1000);
    ASSERT_FALSE(first.has_value());
    EXPECT_EQ(first.error().code, Code::kResourceExhausted);
    EXPECT_FALSE(Append(Lane::kEvidence, 1000).has_value());
    EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  }
  ASSERT_TRUE(Append(Lane::kEvidence).has_value());
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 4));
  const auto losses = spool_->TakeLosses();
  ASSERT_THAT(losses, SizeIs(1));
  EXPECT_EQ(losses[0].cause, SpoolLoss::Cause::kWriteFailed);
  EXPECT_EQ(losses[0].frames, 2U);
  EXPECT_EQ(losses[0].records, 14U);
}

}  // namespace
}  // namespace culprit
