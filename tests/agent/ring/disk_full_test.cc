// SPDX-License-Identifier: Apache-2.0
// A disk that fills up under the ring and is freed again. Needs root: the disk is a small tmpfs.
#include "tests/agent/ring/ring_fixture.h"
#include "tests/support/small_disk.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;

class RingDiskFullTest : public ::testing::Test {
 protected:
  void WriteSome(RingWriter* writer, int packets) {
    for (int i = 0; i < packets; ++i) {
      writer->Write(next_++, 1000);
      if (i % 20 == 0) writer->ring().Flush();
    }
    writer->ring().Flush();
  }
  SmallDisk disk_{2};
  std::uint32_t next_ = 0;
};

TEST_F(RingDiskFullTest, ShrinksRestsAndGoesOnWhenThereIsRoom) {
  RingWriter writer(SmallRing(disk_ / "ring"));
  WriteSome(&writer, 600);
  ASSERT_GE(writer.ring().stats().segments, 3U);
  disk_.Fill(0);
  WriteSome(&writer, 100);
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("disk full"));
  EXPECT_GT(writer.ring().stats().shrunk_segments, 0U);
  EXPECT_EQ(writer.ring().stats().lost_packets, 0U) << "older ones made room";
  EXPECT_EQ(RingWriter::NumberOf(FindPackets({disk_ / "ring"}).back()), next_ - 1);
  for (int i = 0; i < 20; ++i) {  // until there is nothing left to give up
    disk_.Fill(0);
    WriteSome(&writer, 100);
  }
  EXPECT_GT(writer.ring().stats().lost_packets, 0U);
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("packet ring"));
  disk_.Free();
  writer.ring().Flush();
  const std::uint64_t lost = writer.ring().stats().lost_packets;
  WriteSome(&writer, 100);
  EXPECT_EQ(writer.ring().stats().lost_packets, lost);
  EXPECT_EQ(writer.ring().stats().degraded, "");
  const auto found = FindPackets({disk_ / "ring"});
  ASSERT_GE(found.size(), 100U);
  EXPECT_EQ(RingWriter::NumberOf(found.back()), next_ - 1);
}

TEST_F(RingDiskFullTest, LeavesToOthersWhatTheyAreToHave) {
  SegmentRingOptions options = SmallRing(disk_ / "ring");
  options.min_free_bytes = 512U << 10;
  RingWriter writer(options);
  WriteSome(&writer, 700);
  ASSERT_GE(disk_.free_bytes(), options.min_free_bytes);
  disk_.Fill(300U << 10);
  WriteSome(&writer, 1);
  EXPECT_GE(disk_.free_bytes(), options.min_free_bytes);
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("shrunk"));
  for (int i = 0; i < 8; ++i) {
    disk_.Fill(100U << 10);
    WriteSome(&writer, 10);
  }
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("rests"));
}

}  // namespace
}  // namespace culprit::testing
