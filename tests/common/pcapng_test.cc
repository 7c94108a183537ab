// SPDX-License-Identifier: Apache-2.0
#include "common/pcapng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/capture_bytes.h"

namespace culprit {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Read {
  std::vector<PcapngInterface> interfaces;
  std::vector<PcapngPacket> packets;
  std::vector<PcapngStatistics> statistics;
  std::vector<PcapngProcess> processes;
  std::vector<std::string> broken;
  std::string damage;  // that ended it
};

Read ReadAll(std::string_view bytes) {
  Read read;
  PcapngParser parser;
  PcapngBlock block;
  while (!bytes.empty()) {
    const PcapngFind found = parser.Next(bytes, &block);
    if (found != PcapngFind::kBlock) {
      read.damage = found == PcapngFind::kMore ? "more" : block.reason;
      break;
    }
    if (block.kind == PcapngBlockKind::kInterface) {
      read.interfaces.push_back(parser.interfaces().back());
    }
    if (block.kind == PcapngBlockKind::kPacket) read.packets.push_back(block.packet);
    if (block.kind == PcapngBlockKind::kStatistics) read.statistics.push_back(block.statistics);
    if (block.kind == PcapngBlockKind::kProcess) read.processes.push_back(block.process);
    if (block.kind == PcapngBlockKind::kBroken) read.broken.emplace_back(block.reason);
    bytes.remove_prefix(block.total_bytes);
  }
  return read;
}

PcapngProcess Curl() {
  PcapngProcess process;
  process.id = ProcessId(0x0123456789abcdef);
  process.tgid = Tgid(4711);
  process.start = BootTimeFromNs(99);
  process.exec_id = 3;
  process.uid = Uid(1000);
  process.exe = "/usr/bin/curl";
  process.arguments = "curl https://example.org";
  process.parent = ProcessId(5);
  return process;
}

TEST(PcapngTest, WhatIsWrittenIsRead) {
  std::string file;
  AppendPcapngSection({"x86", "Linux 6.1", "culprit"}, &file);
  AppendPcapngInterface({"eth0", 1, 96}, &file);
  AppendPcapngProcess(Curl(), &file);
  PcapngPacket packet;
  packet.wall_ns = 1'700'000'000 * kSecond + 123'456'789;
  packet.wire_bytes = 1500;
  packet.bytes = "some bytes of it";
  packet.direction = PacketDirection::kOut;
  packet.process = Curl().id;
  packet.flow = FlowId(7);
  packet.dropped = 2;
  const std::string comment =
      PcapngPacketComment(packet.process, packet.flow, Curl().tgid, "curl\n");
  packet.comment = comment;
  AppendPcapngPacket(packet, &file);
  PcapngStatistics statistics{0, 5 * kSecond, 1 * kSecond, 4 * kSecond, 10, 20, 30};
  AppendPcapngStatistics(statistics, &file);

  const Read read = ReadAll(file);
  EXPECT_EQ(read.damage, "");
  EXPECT_THAT(read.broken, ::testing::IsEmpty());
  ASSERT_EQ(read.interfaces.size(), 1U);
  EXPECT_EQ(read.interfaces[0].name, "eth0");
  EXPECT_EQ(read.interfaces[0].link_type, 1);
  EXPECT_EQ(read.interfaces[0].snaplen, 96U);
  ASSERT_EQ(read.packets.size(), 1U);
  const PcapngPacket& got = read.packets[0];
  EXPECT_EQ(got.wall_ns, packet.wall_ns);
  EXPECT_EQ(got.wire_bytes, 1500U);
  EXPECT_EQ(got.bytes, packet.bytes);
  EXPECT_EQ(got.direction, PacketDirection::kOut);
  EXPECT_EQ(got.process, packet.process);
  EXPECT_EQ(got.flow, packet.flow);
  EXPECT_EQ(got.dropped, 2U);
  EXPECT_EQ(got.comment, "p=0123456789abcdef f=0000000000000007 pid=4711 comm=curl\\n");
  ASSERT_EQ(read.processes.size(), 1U);
  const PcapngProcess& process = read.processes[0];
  EXPECT_EQ(process.id, Curl().id);
  EXPECT_EQ(process.tgid, Curl().tgid);
  EXPECT_EQ(process.start, Curl().start);
  EXPECT_EQ(process.exec_id, 3U);
  EXPECT_EQ(process.uid, Uid(1000));
  EXPECT_EQ(process.exe, Curl().exe);
  EXPECT_EQ(process.arguments, Curl().arguments);
  EXPECT_EQ(process.parent, ProcessId(5));
  ASSERT_EQ(read.statistics.size(), 1U);
  EXPECT_EQ(read.statistics[0].wall_ns, 5 * kSecond);
  EXPECT_EQ(read.statistics[0].start_ns, 1 * kSecond);
  EXPECT_EQ(read.statistics[0].end_ns, 4 * kSecond);
  EXPECT_EQ(read.statistics[0].received, 10U);
  EXPECT_EQ(read.statistics[0].interface_drops, 20U);
  EXPECT_EQ(read.statistics[0].os_drops, 30U);
}

TEST(PcapngTest, EveryBlockIsAMultipleOfFourAndTellsItsLengthTwice) {
  for (std::size_t length = 0; length < 9; ++length) {
    std::string file;
    AppendPcapngSection({std::string(length, 'h'), "", ""}, &file);
    AppendPcapngInterface({std::string(length, 'n'), 1, 0}, &file);
    PcapngPacket packet;
    const std::string bytes(length, 'b');
    packet.bytes = packet.comment = bytes;
    AppendPcapngPacket(packet, &file);
    PcapngProcess process = Curl();
    process.exe = bytes;
    AppendPcapngProcess(process, &file);
    const Read read = ReadAll(file);
    EXPECT_EQ(read.damage, "") << length;
    ASSERT_EQ(read.packets.size(), 1U) << length;
    EXPECT_EQ(read.packets[0].bytes, bytes);
    EXPECT_EQ(read.packets[0].comment, bytes);
    ASSERT_EQ(read.processes.size(), 1U) << length;
    EXPECT_EQ(read.processes[0].exe, bytes);
    EXPECT_EQ(read.processes[0].parent, ProcessId(5));
  }
}

struct TimeCase {
  const char* name;
  int resolution;  // if_tsresol, -1 = not written
  std::int64_t offset;
  std::uint64_t ticks;
  std::int64_t expected;
};

TEST(PcapngTest, TimesFollowResolutionAndOffset) {
  const TimeCase kCases[] = {
      {"microseconds if nothing is said", -1, 0, 1'500'000, kSecond + kSecond / 2},
      {"seconds", 0, 0, 7, 7 * kSecond},
      {"milliseconds", 3, 0, 1'001, kSecond + 1'000'000},
      {"nanoseconds", 9, 0, 1'234'567'890, 1'234'567'890},
      {"picoseconds", 12, 0, 5'000, 5},
      {"finer than 64 bits", 40, 0, ~std::uint64_t{0}, 0},
      {"halves", 0x81, 0, 3, kSecond + kSecond / 2},
      {"2^-32", 0xa0, 0, (std::uint64_t{2} << 32) + (std::uint64_t{1} << 31),
       2 * kSecond + kSecond / 2},
      {"2^-127", 0xff, 0, ~std::uint64_t{0}, 0},
      {"offset", 9, 100, 5, 100 * kSecond + 5},
      {"offset before 1970", 9, -1, 5, -kSecond + 5},
      {"beyond what fits", 0, 0, ~std::uint64_t{0}, INT64_MAX},
      {"offset before what fits", 9, INT64_MIN, 0, INT64_MIN},
  };
  for (const TimeCase& c : kCases) {
    for (const bool big : {false, true}) {
      CaptureBytes options(big);
      if (c.resolution >= 0) options.Option(9, std::string(1, static_cast<char>(c.resolution)));
      options.Option(14, CaptureBytes(big).U64(static_cast<std::uint64_t>(c.offset)).str());
      CaptureBytes file(big);
      file.Section().Interface(1, 0, options.str()).Enhanced(0, c.ticks, "x", 1);
      const Read read = ReadAll(file.str());
      ASSERT_EQ(read.packets.size(), 1U) << c.name;
      EXPECT_EQ(read.packets[0].wall_ns, c.expected) << c.name << (big ? " big" : " little");
    }
  }
}

TEST(PcapngTest, BothByteOrdersAndAllPacketBlocks) {
  for (const bool big : {false, true}) {
    CaptureBytes file(big);
    file.Section().Interface(101, 4);
    file.Enhanced(0, 1'000'000, "abc", 60,
                  CaptureBytes(big)
                      .Option(1, "hello")
                      .Option(2, CaptureBytes(big).U32(1).str())
                      .Option(4, CaptureBytes(big).U64(9).str())
                      .str());
    file.Block(3, file.Empty().U32(9).Raw("simp"));  // simple
    file.Block(2, file.Empty().U16(0).U16(3).U32(0).U32(2'000'000).U32(2).U32(8).Raw("ob").Pad());
    file.Block(4, file.Empty().Raw("names").Pad());  // looked past
    const Read read = ReadAll(file.str());
    ASSERT_EQ(read.packets.size(), 3U) << big;
    EXPECT_EQ(read.packets[0].bytes, "abc");
    EXPECT_EQ(read.packets[0].wire_bytes, 60U);
    EXPECT_EQ(read.packets[0].comment, "hello");
    EXPECT_EQ(read.packets[0].direction, PacketDirection::kIn);
    EXPECT_EQ(read.packets[0].dropped, 9U);
    EXPECT_EQ(read.packets[1].bytes, "simp");  // cut by the interface's limit
    EXPECT_EQ(read.packets[1].wire_bytes, 9U);
    EXPECT_FALSE(read.packets[1].timed);
    EXPECT_EQ(read.packets[2].bytes, "ob");
    EXPECT_EQ(read.packets[2].wall_ns, 2 * kSecond);
    EXPECT_EQ(read.packets[2].dropped, 3U);
  }
}

TEST(PcapngTest, OurNamesAreReadInASectionOfTheOtherByteOrder) {
  const auto le64 = [](std::uint64_t v) { return CaptureBytes(false).U64(v).str(); };
  CaptureBytes file(true);
  file.Section().Interface(1, 0);
  file.Enhanced(0, 1, "x", 1,
                file.Empty()
                    .Option(2989, file.Empty().U32(32473).Raw("CULPKT01" + le64(6) + le64(7)).str())
                    .str());
  file.Block(
      0xbad,
      file.Empty()
          .U32(32473)
          .Raw("CULPROC1")
          .Raw(CaptureBytes(false).Option(1, le64(6)).Option(99, "new").Option(6, "/x").str()));
  file.Block(0xbad, file.Empty().U32(32473).Raw("SOMEBODY"));
  file.Block(0xbad, file.Empty().U32(1).Raw("CULPROC1"));
  const Read read = ReadAll(file.str());
  ASSERT_EQ(read.packets.size(), 1U);
  EXPECT_EQ(read.packets[0].process, ProcessId(6));
  EXPECT_EQ(read.packets[0].flow, FlowId(7));
  ASSERT_EQ(read.processes.size(), 1U);
  EXPECT_EQ(read.processes[0].exe, "/x");
  EXPECT_THAT(read.broken, ::testing::IsEmpty());
}

TEST(PcapngTest, ContentThatContradictsItsBlockIsBrokenAndTheRestIsRead) {
  struct Case {
    const char* reason;
    CaptureBytes block;
  };
  const CaptureBytes empty(false);
  const Case kCases[] = {
      {"a packet of no interface", empty.Empty().Enhanced(5, 0, "x", 1)},
      {"a packet that is longer than its block",
       empty.Empty().Block(6, empty.Empty().U32(0).U32(0).U32(0).U32(9).U32(9).Raw("tooshort"))},
      {"a packet that is too short", empty.Empty().Block(6, empty.Empty().U32(0))},
      {"a packet that is longer than its block",
       empty.Empty().Block(3, empty.Empty().U32(9).Raw("12345678"))},
      {"an interface that is too short", empty.Empty().Block(1, empty.Empty().U32(1))},
      {"statistics of no interface", empty.Empty().Block(5, empty.Empty().U32(9).U32(0).U32(0))},
      {"a process without an id",
       empty.Empty().Block(0xbad, empty.Empty().U32(32473).Raw("CULPROC1"))},
  };
  for (const Case& c : kCases) {
    CaptureBytes file(false);
    file.Section().Interface(1, 0).Raw(c.block.str()).Enhanced(0, 1, "after", 5);
    const Read read = ReadAll(file.str());
    EXPECT_THAT(read.broken, ::testing::ElementsAre(c.reason));
    ASSERT_EQ(read.packets.size(), 1U) << c.reason;
    EXPECT_EQ(read.packets[0].bytes, "after");
  }
}

TEST(PcapngTest, ABlockWithoutAFrameIsDamage) {
  const CaptureBytes empty(false);
  const auto section = empty.Empty().Section();
  const auto u32 = [&](std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    return empty.Empty().U32(a).U32(b).U32(c).str();
  };
  const std::pair<std::string, std::string> kCases[] = {
      {section.str() + u32(6, 8, 8), "a block with an impossible length"},
      {section.str() + u32(6, 13, 13), "a block with an impossible length"},
      {section.str() + u32(6, 0x7ffffffc, 0), "a block with an impossible length"},
      {section.str() + u32(6, 12, 16), "a block whose two lengths differ"},
      {section.str() + u32(6, 16, 0), "more"},
      {u32(6, 12, 12), "no section header"},
      {u32(0x0a0d0d0a, 28, 0x12345678), "a section of unknown byte order"},
  };
  for (const auto& [bytes, damage] : kCases) EXPECT_EQ(ReadAll(bytes).damage, damage);
}

TEST(PcapngTest, ResyncFindsTheNextBlockAndNothingInNoise) {
  CaptureBytes head(false);
  head.Section().Interface(1, 0);
  PcapngParser parser;
  PcapngBlock block;
  std::string_view rest = head.str();
  while (!rest.empty()) {
    ASSERT_EQ(parser.Next(rest, &block), PcapngFind::kBlock);
    rest.remove_prefix(block.total_bytes);
  }
  const std::string packet = CaptureBytes(false).Enhanced(0, 1, "x", 1).str();
  const std::string section = CaptureBytes(true).Section().str();
  bool more = false;
  for (std::size_t noise = 1; noise < 9; ++noise) {
    const std::string before(noise, '\x06');
    EXPECT_EQ(parser.Resync(before + packet, 1, true, &more), noise) << "at any alignment";
    EXPECT_EQ(parser.Resync(before + section, 1, true, &more), noise) << "of either byte order";
  }
  EXPECT_EQ(parser.Resync(std::string(100, '\0'), 0, true, &more), 100U);
  EXPECT_FALSE(more);
  EXPECT_EQ(parser.Resync("zz" + packet.substr(0, packet.size() - 1), 0, false, &more), 2U);
  EXPECT_TRUE(more) << "the bytes end within a candidate";
  EXPECT_EQ(PcapngParser().Resync("z" + packet, 0, true, &more), packet.size() + 1)
      << "packets need a section";
}

}  // namespace
}  // namespace culprit
