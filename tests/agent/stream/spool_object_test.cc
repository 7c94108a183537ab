// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/spool_object.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "tests/support/damage.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

const Uuid kStream{{1, 2, 3}};

std::vector<Frame> Frames(int n) {
  std::vector<Frame> frames;
  Sha256Digest prev{};
  for (int i = 0; i < n; ++i) {
    FrameHeader header;
    header.lane = Lane::kBulk;
    header.stream_id = kStream;
    header.seq = 7 + static_cast<std::uint64_t>(i);
    header.clock.wall = WallTimeFromNs(1'700'000'000'000'000'000 + i);
    header.prev_hash = prev;
    auto frame = MakeFrame(header, NoiseFor(header.seq, Lane::kBulk, 500));
    prev = frame->hash;
    frames.push_back(std::move(*frame));
  }
  return frames;
}

SpoolObject ObjectOf(const std::vector<Frame>& frames) {
  SpoolObject object;
  for (const Frame& frame : frames) object.Add(frame);
  return object;
}

TEST(SpoolObject, TheSameFramesAreTheSameBytes) {
  const std::vector<Frame> frames = Frames(5);
  const SpoolObject object = ObjectOf(frames);
  EXPECT_EQ(ObjectOf(frames).bytes(), object.bytes());
  EXPECT_EQ(object.first_seq(), 7U);
  EXPECT_EQ(object.last_seq(), 11U);
  EXPECT_EQ(object.frames(), 5U);
  EXPECT_EQ(object.last_hash(), frames.back().hash);
}

TEST(SpoolObject, ItIsASegmentFileOfTheSpool) {
  const TempDir directory;
  const std::vector<Frame> frames = Frames(4);
  const std::string path = directory / "object.clog";
  std::ofstream(path, std::ios::binary) << ObjectOf(frames).bytes();
  auto reader = SegmentReader::Open(path, [](const ReadDamage&) { FAIL(); });
  ASSERT_TRUE(reader.has_value()) << reader.error().message;
  EXPECT_EQ(reader->header().kind, LogKind::kSpool);
  EXPECT_EQ(reader->header().log_id, kStream);
  for (const Frame& frame : frames) {
    const auto read = reader->Next();
    ASSERT_TRUE(read.has_value() && read->has_value());
    EXPECT_EQ((*read)->hash, frame.hash);
    EXPECT_EQ((*read)->payload, frame.payload);
  }
  reader->Finish();
}

TEST(SpoolObject, OneFrameFitsHoweverLargeAndNoSecondBeyondTheBound) {
  const std::vector<Frame> frames = Frames(2);
  SpoolObject object;
  EXPECT_TRUE(object.Fits(frames[0], 1));
  object.Add(frames[0]);
  const std::uint64_t both =
      object.bytes().size() + kRecordOverheadBytes + frames[1].payload.size();
  EXPECT_FALSE(object.Fits(frames[1], both - 1));
  EXPECT_TRUE(object.Fits(frames[1], both));
}

}  // namespace
}  // namespace culprit
