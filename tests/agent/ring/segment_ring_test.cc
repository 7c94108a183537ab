// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/segment_ring.h"

#include <fstream>
#include <random>

#include "tests/agent/ring/ring_fixture.h"
#include "tests/support/damage.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(SegmentRingTest, IsNeverLargerThanItsBoundUnderRandomWrites) {
  const TempDir dir(TempDir::Where::kMemory);
  SegmentRingOptions options = SmallRing(dir.path());
  options.max_bytes = 3 * kMinSegmentBytes + 12'345;
  RingWriter writer(options);
  std::mt19937_64 random(3);
  for (std::uint32_t n = 0; n < 3000; ++n) {
    writer.Write(n, random() % 3 == 0 ? random() % 60'000 : random() % 200,
                 ProcessId{random() % 300}, FlowId{random() % 9000});
    if (random() % 20 == 0) writer.ring().Flush();
    if (random() % 200 == 0) writer.ring().Rotate();
    if (n % 10 == 0) {
      ASSERT_LE(BytesBelow(dir.path()), options.max_bytes) << n;
    }
    if (random() % 700 == 0) writer.Open();
  }
  writer.ring().Flush();
  EXPECT_GT(BytesBelow(dir.path()), options.max_bytes / 3);
  EXPECT_EQ(writer.ring().stats().bytes, BytesBelow(dir.path()));
  EXPECT_EQ(writer.ring().stats().lost_packets, 0U);
  EXPECT_EQ(RingWriter::NumberOf(FindPackets({dir.path()}).back()), 2999U);
}

TEST(SegmentRingTest, KeepsTheYoungestInOrderAndWhole) {
  const TempDir dir(TempDir::Where::kMemory);
  RingWriter writer(SmallRing(dir.path()));
  constexpr std::uint32_t kPackets = 4000;
  for (std::uint32_t n = 0; n < kPackets; ++n) writer.Write(n, 500);
  writer.ring().Flush();
  const auto found = FindPackets({dir.path()});
  ASSERT_GT(found.size(), 1000U);
  ASSERT_LT(found.size(), kPackets);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto n = static_cast<std::uint32_t>(kPackets - found.size() + i);
    ASSERT_EQ(RingWriter::NumberOf(found[i]), n);
    ASSERT_EQ(found[i].bytes, RingWriter::Bytes(n, 500));
    ASSERT_EQ(found[i].interface, "eth0");
    ASSERT_EQ(found[i].direction, PacketDirection::kOut);
  }
}

TEST(SegmentRingTest, EachSegmentStandsForItself) {
  const TempDir dir(TempDir::Where::kMemory);
  RingWriter writer(SmallRing(dir.path()));
  PcapngProcess process;
  process.id = ProcessId{5};
  process.exe = "/usr/bin/relay";
  writer.processes[process.id] = process;
  for (std::uint32_t n = 0; n < 2000; ++n) {
    writer.Write(n, 300, n % 2 == 0 ? ProcessId{5} : ProcessId{}, FlowId{}, n % 2);
  }
  PcapngStatistics statistics;
  statistics.received = 11;
  statistics.os_drops = 3;
  writer.ring().SetStatistics(7, statistics);
  writer.Close();
  const auto files = FilesWithSuffix(dir.path(), ".pcapng");
  ASSERT_GE(files.size(), 3U);
  for (const std::string& file : files) {
    const TempDir alone(TempDir::Where::kMemory);
    std::filesystem::copy_file(dir / file, alone / file);
    const auto found = FindPackets({alone.path()});
    ASSERT_GT(found.size(), 10U) << file;
    for (const Found& packet : found) {
      const bool even = RingWriter::NumberOf(packet) % 2 == 0;
      EXPECT_EQ(packet.exe, even ? "/usr/bin/relay" : "");
      EXPECT_EQ(packet.interface, even ? "eth0" : "eth1");
    }
  }
  auto reader = PacketSegmentReader::Open(dir / files.back());
  ASSERT_TRUE(reader);
  PcapngBlock block;
  std::vector<PcapngStatistics> told;
  while (reader->Next(&block).value_or(false)) {
    if (block.kind == PcapngBlockKind::kStatistics) told.push_back(block.statistics);
  }
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].os_drops, 3U);
  EXPECT_EQ(reader->interfaces()[told[0].interface].name, "eth0");
}

TEST(SegmentRingTest, AProcessThatIsLearntLateIsDefinedBeforeItsNextPacket) {
  const TempDir dir(TempDir::Where::kMemory);
  RingWriter writer(SmallRing(dir.path()));
  writer.Write(1, 10, ProcessId{5});
  PcapngProcess process;
  process.id = ProcessId{5};
  process.exe = "/bin/late";
  writer.processes[process.id] = process;
  writer.Write(2, 10, ProcessId{5});
  writer.ring().Flush();
  const auto found = FindPackets({dir.path()});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].exe, "");
  EXPECT_EQ(found[1].exe, "/bin/late");
}

TEST(SegmentRingTest, TheOpenSegmentIsReadableUpToItsLastWholeBlock) {
  const TempDir dir(TempDir::Where::kMemory);
  RingWriter writer(SmallRing(dir.path()));
  writer.Write(1);
  EXPECT_THAT(FindPackets({dir.path()}), IsEmpty());
  writer.ring().Flush();
  EXPECT_THAT(FindPackets({dir.path()}), SizeIs(1));
  const auto open = FilesWithSuffix(dir.path(), ".open");
  ASSERT_THAT(open, SizeIs(1));
  std::ofstream(dir / open[0], std::ios::app | std::ios::binary)
      << std::string("\x06\0\0\0\x40", 5);
  EXPECT_THAT(FindPackets({dir.path()}), SizeIs(1));
}

TEST(SegmentRingTest, ARestartClosesWhatWasOpenAndGoesOnCounting) {
  const TempDir dir(TempDir::Where::kMemory);
  const std::string left = dir / "left", ring = dir / "ring";
  {
    RingWriter writer(SmallRing(left));
    for (std::uint32_t n = 0; n < 40; ++n) writer.Write(n, 1000);
    writer.ring().Flush();
    CopyDirectory(left, ring);  // as a kill leaves it
  }
  const auto open = FilesWithSuffix(ring, ".open");
  ASSERT_THAT(open, SizeIs(1));
  std::filesystem::resize_file(ring + "/" + open[0],
                               std::filesystem::file_size(ring + "/" + open[0]) - 7);
  RingWriter writer(SmallRing(ring));
  EXPECT_THAT(FilesWithSuffix(ring, ".open"), IsEmpty());
  EXPECT_THAT(FindPackets({ring}), SizeIs(39));
  EXPECT_THAT(FilesWithSuffix(ring, ".idx"), SizeIs(1));
  writer.Write(100);
  writer.Close();
  const auto files = FilesWithSuffix(ring, ".pcapng");
  ASSERT_THAT(files, SizeIs(2));
  EXPECT_EQ(files[0], "00000001.pcapng");
  EXPECT_EQ(files[1], "00000002.pcapng");
  QueryStats stats;
  EXPECT_THAT(FindPackets({ring}, {}, &stats), SizeIs(40));
  EXPECT_EQ(stats.damaged, 0U);
}

TEST(SegmentRingTest, ALostOrDamagedIndexIsMadeAgain) {
  for (const bool lost : {true, false}) {
    const TempDir dir(TempDir::Where::kMemory);
    RingWriter writer(SmallRing(dir.path()));
    for (std::uint32_t n = 0; n < 2000; ++n) writer.Write(n, 300, ProcessId{n}, FlowId{n});
    writer.Close();
    for (const std::string& file : FilesWithSuffix(dir.path(), ".idx")) {
      if (lost) {
        std::filesystem::remove(dir / file);
      } else {
        FlipBit(dir / file, 200);
      }
    }
    PacketQuery query;
    query.flows = {FlowId{1990}};
    EXPECT_THAT(FindPackets({dir.path()}, query), SizeIs(1)) << "without indexes";
    writer.Open();
    QueryStats stats;
    EXPECT_THAT(FindPackets({dir.path()}, query, &stats), SizeIs(1));
    EXPECT_GT(stats.passed_over, 0U);
  }
}

TEST(SegmentRingTest, ASmallerBoundAtRestartIsKeptAtOnce) {
  const TempDir dir(TempDir::Where::kMemory);
  SegmentRingOptions options = SmallRing(dir.path());
  {
    RingWriter writer(options);
    for (std::uint32_t n = 0; n < 3000; ++n) writer.Write(n, 500);
  }
  ASSERT_GT(BytesBelow(dir.path()), 2 * kMinSegmentBytes);
  options.max_bytes = 2 * kMinSegmentBytes;
  const RingWriter writer(options);
  EXPECT_LE(BytesBelow(dir.path()), options.max_bytes);
  EXPECT_EQ(RingWriter::NumberOf(FindPackets({dir.path()}).back()), 2999U);
}

TEST(SegmentRingTest, BoundsThatMakeNoSenseAndASecondUserAreRefused) {
  const TempDir dir;
  const auto open = [&](std::uint64_t max_bytes, std::uint64_t segment_bytes) {
    SegmentRingOptions options = SmallRing(dir.path());
    options.max_bytes = max_bytes;
    options.segment_bytes = segment_bytes;
    return SegmentRing::Open(options, [](ProcessId) { return nullptr; });
  };
  EXPECT_FALSE(open(kMinSegmentBytes, kMinSegmentBytes));
  EXPECT_FALSE(open(1 << 20, kMinSegmentBytes - 1));
  const auto first = open(1 << 20, kMinSegmentBytes);
  EXPECT_TRUE(first);
  EXPECT_FALSE(open(1 << 20, kMinSegmentBytes));
}

}  // namespace
}  // namespace culprit::testing
