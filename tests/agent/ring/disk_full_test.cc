// SPDX-License-Identifier: Apache-2.0
// A disk that fills up under the ring and is freed again. Needs root: the disk is a small tmpfs.
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/agent/ring/ring_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;

class RingDiskFullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0U) << "this test needs root: it mounts a tmpfs";
    std::string name = (std::filesystem::temp_directory_path() / "culprit-disk.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    ASSERT_EQ(mount("none", directory_.c_str(), "tmpfs", 0, "size=2m,mode=0700"), 0);
  }
  void TearDown() override {
    umount2(directory_.c_str(), MNT_DETACH);
    std::filesystem::remove_all(directory_);
  }
  // All but about `left` bytes of what is free.
  void Fill(std::uint64_t left) const {
    const std::uint64_t free = std::filesystem::space(directory_).available;
    std::ofstream filler(directory_ + "/filler", std::ios::binary | std::ios::app);
    const std::string page(4096, 'x');
    for (std::uint64_t n = page.size(); n + left <= free; n += page.size()) filler << page;
  }
  void Free() const { std::filesystem::remove(directory_ + "/filler"); }
  void WriteSome(RingWriter* writer, int packets) {
    for (int i = 0; i < packets; ++i) {
      writer->Write(next_++, 1000);
      if (i % 20 == 0) writer->ring().Flush();
    }
    writer->ring().Flush();
  }
  std::string directory_;
  std::uint32_t next_ = 0;
};

TEST_F(RingDiskFullTest, ShrinksRestsAndGoesOnWhenThereIsRoom) {
  RingWriter writer(SmallRing(directory_ + "/ring"));
  WriteSome(&writer, 600);
  ASSERT_GE(writer.ring().stats().segments, 3U);
  Fill(0);
  WriteSome(&writer, 100);
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("disk full"));
  EXPECT_GT(writer.ring().stats().shrunk_segments, 0U);
  EXPECT_EQ(writer.ring().stats().lost_packets, 0U) << "older ones made room";
  EXPECT_EQ(RingWriter::NumberOf(FindPackets({directory_ + "/ring"}).back()), next_ - 1);
  for (int i = 0; i < 20; ++i) {  // until there is nothing left to give up
    Fill(0);
    WriteSome(&writer, 100);
  }
  EXPECT_GT(writer.ring().stats().lost_packets, 0U);
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("packet ring"));
  Free();
  writer.ring().Flush();
  const std::uint64_t lost = writer.ring().stats().lost_packets;
  WriteSome(&writer, 100);
  EXPECT_EQ(writer.ring().stats().lost_packets, lost);
  EXPECT_EQ(writer.ring().stats().degraded, "");
  const auto found = FindPackets({directory_ + "/ring"});
  ASSERT_GE(found.size(), 100U);
  EXPECT_EQ(RingWriter::NumberOf(found.back()), next_ - 1);
}

TEST_F(RingDiskFullTest, LeavesToOthersWhatTheyAreToHave) {
  SegmentRingOptions options = SmallRing(directory_ + "/ring");
  options.min_free_bytes = 512U << 10;
  RingWriter writer(options);
  WriteSome(&writer, 700);
  ASSERT_GE(std::filesystem::space(directory_).available, options.min_free_bytes);
  Fill(300U << 10);
  WriteSome(&writer, 1);
  EXPECT_GE(std::filesystem::space(directory_).available, options.min_free_bytes);
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("shrunk"));
  for (int i = 0; i < 8; ++i) {
    Fill(100U << 10);
    WriteSome(&writer, 10);
  }
  EXPECT_THAT(writer.ring().stats().degraded, HasSubstr("rests"));
}

}  // namespace
}  // namespace culprit::testing
