// SPDX-License-Identifier: Apache-2.0
// Whatever is done to a spool's directory: it starts, keeps what is whole, and names what is not.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "tests/agent/spool/spool_fixture.h"

namespace culprit {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class SpoolRecoveryTest : public SpoolFixture {
 protected:
  SpoolRecoveryTest() : SpoolFixture(TempDir::Where::kMemory) {
    options_.max_bytes = 1 << 20;
    options_.segment_bytes = 2 << 10;
  }
  // Two lanes, several segments, everything on disk; then the process is gone.
  void Prepare() {
    Open();
    AppendMany(Lane::kEvidence, 12);
    AppendMany(Lane::kBulk, 12);
    ASSERT_TRUE(spool_->Sync().has_value());
    stream_ = spool_->stream_id();
    spool_.reset();
  }
  std::uint64_t LostFrames() {
    std::uint64_t frames = 0;
    for (const SpoolLoss& loss : losses_) frames += loss.frames;
    return frames;
  }
  void OpenAndTakeLosses() {
    Open();
    losses_ = spool_->TakeLosses();
    if (!losses_.empty()) {
      ASSERT_TRUE(spool_->Append(Lane::kEvidence, FrameKind::kLoss, {}, 1, "x").has_value());
    }
  }

  Uuid stream_;
  std::vector<SpoolLoss> losses_;
};

TEST_F(SpoolRecoveryTest, CutAtEveryByteTheWholeRecordsComeBack) {
  options_.segment_bytes = 1 << 20;  // 1/8 of the cap: one segment
  Open();
  AppendMany(Lane::kEvidence, 4, 40);
  spool_.reset();
  ASSERT_THAT(SegmentFiles(), SizeIs(1));
  const std::string name = SegmentFiles()[0];
  const std::string whole = ReadFileBytes(PathOf(name));
  const std::size_t record = kRecordOverheadBytes + 40;
  ASSERT_EQ(whole.size(), kSegmentHeaderBytes + 4 * record);
  const std::string original = dir_ / "original";
  CopyDirectory(options_.directory, original);

  for (std::size_t size = 0; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    spool_.reset();
    CopyDirectory(original, options_.directory);
    std::filesystem::remove(PathOf("acked"));  // else the cut is seen as a lost tail: tested below
    std::filesystem::resize_file(PathOf(name), size);
    Open();
    const std::uint64_t left = size < kSegmentHeaderBytes ? 0 : (size - kSegmentHeaderBytes) / record;
    EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, left));
    const auto next = Append(Lane::kEvidence);
    ASSERT_TRUE(next.has_value());
    EXPECT_EQ(next->seq, left + 1);
    EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, left + 1));
  }
}

TEST_F(SpoolRecoveryTest, EveryFlippedBitCostsAtMostItsFrameAndIsReported) {
  Prepare();
  const std::string original = dir_ / "original";
  CopyDirectory(options_.directory, original);
  std::mt19937 random(1);
  for (int round = 0; round < 150; ++round) {
    spool_.reset();
    CopyDirectory(original, options_.directory);
    const auto files = SegmentFiles();
    const std::string name = files[random() % files.size()];
    const std::uint64_t bit = random() % (std::filesystem::file_size(PathOf(name)) * 8);
    SCOPED_TRACE(name + " bit " + std::to_string(bit));
    FlipBit(PathOf(name), bit);
    OpenAndTakeLosses();
    std::size_t left = 0;
    for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
      for (const Frame& frame : Read(lane)) {
        left += frame.header.kind == FrameKind::kBatch ? 1 : 0;
      }
    }
    if (bit / 8 < kSegmentHeaderBytes) {
      EXPECT_EQ(left, 24U);
      EXPECT_EQ(spool_->stream_id(), stream_);
    } else {
      EXPECT_EQ(left, 23U);
      ASSERT_THAT(losses_, SizeIs(::testing::Ge(1U)));
      EXPECT_EQ(losses_[0].cause, SpoolLoss::Cause::kCorrupt);
      EXPECT_GT(losses_[0].bytes, 300U);
      EXPECT_THAT(FilesWithSuffix(options_.directory, ".corrupt"), SizeIs(1));
    }
    // Declared once: the next start does not find it again.
    Open();
    EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
  }
}

TEST_F(SpoolRecoveryTest, AHoleInTheMiddleIsNamedBySequenceAndHash) {
  Prepare();
  const std::vector<std::string> files = SegmentFiles();
  const SegmentContent content = ReadSegmentFile(PathOf(files[0]));
  ASSERT_EQ(content.frames[1].header.lane, Lane::kBulk);
  OverwriteBytes(PathOf(files[0]), kSegmentHeaderBytes + kRecordOverheadBytes + 300 + 20, "garbage");
  OpenAndTakeLosses();
  ASSERT_THAT(losses_, SizeIs(1));
  EXPECT_EQ(losses_[0].lane, Lane::kBulk);
  EXPECT_EQ(losses_[0].first_seq, 2U);
  EXPECT_EQ(losses_[0].last_seq, 2U);
  EXPECT_EQ(losses_[0].bytes, kRecordOverheadBytes + 300);
  EXPECT_EQ(losses_[0].end_hash, content.frames[1].hash);
}

TEST_F(SpoolRecoveryTest, AMissingSegmentInTheMiddleIsALossAndTheRestIsRead) {
  Prepare();
  const std::string name = SegmentFiles()[1];
  const std::size_t frames = ReadSegmentFile(PathOf(name)).frames.size();
  std::filesystem::remove(PathOf(name));
  OpenAndTakeLosses();
  EXPECT_EQ(LostFrames(), frames);
  EXPECT_EQ(spool_->stream_id(), stream_);
}

TEST_F(SpoolRecoveryTest, AMissingNewestSegmentBeginsANewStreamWithWhatIsLeft) {
  Prepare();
  const std::string newest = "bulk-0000000000000003.clog";
  const std::size_t gone = ReadSegmentFile(PathOf(newest)).frames.size();
  std::filesystem::remove(PathOf(newest));
  Open();
  EXPECT_NE(spool_->stream_id(), stream_);
  EXPECT_EQ(spool_->previous_stream_id(), stream_);
  EXPECT_EQ(spool_->stream_reason(), "tail_lost");
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 12 - gone));
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 12));
}

TEST_F(SpoolRecoveryTest, AnOlderCopyOfTheNewestSegmentBeginsANewStream) {
  Open();
  AppendMany(Lane::kEvidence, 3);
  spool_.reset();
  const std::string name = SegmentFiles()[0];
  const std::string older = ReadFileBytes(PathOf(name));
  Open();
  stream_ = spool_->stream_id();
  AppendMany(Lane::kEvidence, 1);
  spool_.reset();
  WriteFileBytes(PathOf(name), older);
  Open();
  EXPECT_NE(spool_->stream_id(), stream_);
  EXPECT_EQ(spool_->stream_reason(), "tail_lost");
  EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 3));
}

TEST_F(SpoolRecoveryTest, AllSegmentsGoneIsASpoolLost) {
  Prepare();
  for (const std::string& name : SegmentFiles()) std::filesystem::remove(PathOf(name));
  Open();
  EXPECT_EQ(spool_->stream_reason(), "spool_lost");
  EXPECT_EQ(spool_->previous_stream_id(), stream_);
  EXPECT_EQ(spool_->lane(Lane::kEvidence).newest_seq, 0U);
}

TEST_F(SpoolRecoveryTest, StateFilesThatAreLostOrGarbageCostNoEvidence) {
  Prepare();
  const std::string original = dir_ / "original";
  CopyDirectory(options_.directory, original);
  for (const char* name : {"stream", "acked", "losses"}) {
    for (const std::string_view content : {"", "garbage", "\0\0\0\0"}) {
      SCOPED_TRACE(std::string(name) + " = " + std::string(content));
      spool_.reset();
      CopyDirectory(original, options_.directory);
      WriteFileBytes(PathOf(name), content);
      OpenAndTakeLosses();
      EXPECT_THAT(losses_, IsEmpty());
      EXPECT_EQ(spool_->stream_id(), stream_);
      EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 12));
      EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 12));
    }
    spool_.reset();
    CopyDirectory(original, options_.directory);
    std::filesystem::remove(PathOf(name));
    OpenAndTakeLosses();
    EXPECT_THAT(losses_, IsEmpty());
    EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 12));
  }
}

TEST_F(SpoolRecoveryTest, ForeignFilesAreSetAsideOrLeftAlone) {
  Prepare();
  TempDir elsewhere;
  SpoolOptions other_options = options_;
  other_options.directory = elsewhere / "spool";
  {
    auto other = Spool::Open(other_options);
    ASSERT_TRUE(other.has_value());
    ASSERT_TRUE((*other)->Append(Lane::kBulk, FrameKind::kBatch, {}, 1, "other").has_value());
  }
  std::filesystem::copy(other_options.directory + "/bulk-0000000000000001.clog",
                        PathOf("bulk-0000000000000099.clog"));
  std::filesystem::copy(PathOf("bulk-0000000000000001.clog"), PathOf("bulk-0000000000000088.clog"));
  WriteFileBytes(PathOf("bulk-0000000000000077.clog"), "");
  WriteFileBytes(PathOf("evidence-0000000000000077.clog"), std::string(5000, 'x'));
  WriteFileBytes(PathOf("README"), "hello");
  WriteFileBytes(PathOf("stream.tmp"), "half");
  std::filesystem::create_directory(PathOf("evidence-0000000000000066.clog"));
  OpenAndTakeLosses();
  EXPECT_EQ(spool_->stream_id(), stream_);
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 12));
  EXPECT_EQ(ReadFileBytes(PathOf("README")), "hello");
  EXPECT_FALSE(std::filesystem::exists(PathOf("stream.tmp")));
  ASSERT_TRUE(Append(Lane::kBulk).has_value());
  Open();
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 13));
}

TEST_F(SpoolRecoveryTest, AnInterruptedMoveToANewStreamIsFinished) {
  Prepare();
  const std::string original = dir_ / "original";
  CopyDirectory(options_.directory, original);
  Open();
  ASSERT_TRUE(spool_->BeginNewStream("tail_lost").has_value());
  const Uuid next_stream = spool_->stream_id();
  const std::vector<std::string> files = SegmentFiles();
  const std::string converted = dir_ / "converted";
  spool_.reset();
  CopyDirectory(options_.directory, converted);
  // The crash comes when the stream file and the first n segments are in place.
  for (std::size_t n = 0; n <= files.size(); ++n) {
    SCOPED_TRACE(n);
    spool_.reset();
    CopyDirectory(original, options_.directory);
    std::filesystem::copy_file(converted + "/stream", PathOf("stream"),
                               std::filesystem::copy_options::overwrite_existing);
    for (std::size_t i = 0; i < n; ++i) {
      std::filesystem::copy_file(converted + "/" + files[i], PathOf(files[i]),
                                 std::filesystem::copy_options::overwrite_existing);
    }
    Open();
    EXPECT_EQ(spool_->stream_id(), next_stream);
    EXPECT_EQ(Seqs(Lane::kEvidence), Range(1, 12));
    EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 12));
    EXPECT_THAT(spool_->TakeLosses(), IsEmpty());
    ASSERT_TRUE(Append(Lane::kBulk).has_value());
    Open();
    EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 13));
  }
}

TEST_F(SpoolRecoveryTest, ZerosAtTheEndAreATornTail) {
  Prepare();
  const std::string name = "bulk-0000000000000003.clog";
  const std::string content = ReadFileBytes(PathOf(name));
  WriteFileBytes(PathOf(name), content + std::string(3000, '\0'));
  OpenAndTakeLosses();
  ASSERT_THAT(losses_, SizeIs(1));
  EXPECT_EQ(losses_[0].detail, "torn tail");
  EXPECT_EQ(losses_[0].bytes, 3000U);
  EXPECT_EQ(Seqs(Lane::kBulk), Range(1, 12));
}

}  // namespace
}  // namespace culprit
