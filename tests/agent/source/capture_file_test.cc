// SPDX-License-Identifier: Apache-2.0
#include "agent/source/capture_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "tests/support/capture_bytes.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kMicro = 0xa1b2c3d4, kNano = 0xa1b23c4d, kModified = 0xa1b2cd34;

struct Packets {
  std::vector<std::string> bytes;
  std::vector<CapturedPacket> packets;  // their `bytes` dangle
  std::vector<PcapngProcess> processes;
  CaptureStats stats;
  std::string error;
  std::string Reasons() const {
    std::string all;
    for (const CaptureDamage& d : stats.damage) all += (all.empty() ? "" : "; ") + d.reason;
    return all;
  }
};

Packets ReadAll(std::string_view file) {
  Packets read;
  auto reader = CaptureReader::FromStream(OpenMemoryStream(file));
  if (!reader) {
    read.error = reader.error().message;
    return read;
  }
  (*reader)->SetOnProcess([&](const PcapngProcess& p) { read.processes.push_back(p); });
  CapturedPacket packet;
  while (true) {
    const auto more = (*reader)->Next(packet);
    EXPECT_TRUE(more.has_value());
    if (!more || !*more) break;
    read.bytes.emplace_back(packet.bytes);
    read.packets.push_back(packet);
  }
  CapturedPacket after;
  EXPECT_FALSE(*(*reader)->Next(after)) << "the end stays the end";
  read.stats = (*reader)->stats();
  return read;
}

std::string Pcap(bool big = false) {
  CaptureBytes file(big);
  file.PcapHeader(kMicro, 1).PcapRecord(10, 500'000, "first packet", 60);
  return file.PcapRecord(11, 0, "second", 6).PcapRecord(12, 0, "", 0).str();
}

std::string Pcapng(bool big = false) {
  CaptureBytes file(big);
  file.Section().Interface(1, 0).Enhanced(0, 10'500'000, "first packet", 60);
  return file.Enhanced(0, 11'000'000, "second", 6).Enhanced(0, 12'000'000, "", 0).str();
}

TEST(CaptureFileTest, EveryPcapVariantIsRead) {
  struct Case {
    std::uint32_t magic;
    std::uint32_t fraction;
    std::int64_t ns;
  };
  for (const Case& c : {Case{kMicro, 7, 7'000}, Case{kNano, 7, 7}, Case{kModified, 7, 7'000}}) {
    for (const bool big : {false, true}) {
      CaptureBytes file(big);
      file.PcapHeader(c.magic, 0x04000071);  // with an FCS length above the link type
      const std::string extra(c.magic == kModified ? 8 : 0, 'e');
      for (const std::string bytes : {"one", "four"}) {
        file.U32(4'000'000'000).U32(c.fraction).U32(static_cast<std::uint32_t>(bytes.size()));
        file.U32(100).Raw(extra).Raw(bytes);
      }
      const Packets read = ReadAll(file.str());
      EXPECT_THAT(read.bytes, ElementsAre("one", "four")) << std::hex << c.magic << big;
      ASSERT_EQ(read.packets.size(), 2U);
      EXPECT_EQ(read.packets[0].wall_ns, 4'000'000'000 * kSecond + c.ns) << "past 2038";
      EXPECT_EQ(read.packets[0].link_type, 113);
      EXPECT_EQ(read.packets[0].wire_bytes, 100U);
      EXPECT_EQ(read.stats.damaged, 0U) << read.Reasons();
      EXPECT_STREQ(read.stats.format, "pcap");
      EXPECT_EQ(read.stats.bytes, 7U);
      EXPECT_EQ(read.stats.wire_bytes, 200U);
    }
  }
}

TEST(CaptureFileTest, LengthsOfOldVersionsStandTheOtherWayRound) {
  for (const std::uint16_t minor : std::initializer_list<std::uint16_t>{2, 3, 4}) {
    CaptureBytes file(false);
    file.PcapHeader(kMicro, 1, minor).U32(1).U32(0);
    if (minor == 4) {
      file.U32(3).U32(60);
    } else {
      file.U32(60).U32(3);
    }
    const Packets read = ReadAll(file.Raw("abc").str());
    EXPECT_THAT(read.bytes, ElementsAre("abc")) << minor;
    EXPECT_EQ(read.packets[0].wire_bytes, 60U);
  }
}

TEST(CaptureFileTest, PcapsJoinedEndToEndAreReadOn) {
  CaptureBytes second(true);
  second.PcapHeader(kNano, 101).PcapRecord(1, 5, "other", 5);
  const Packets read = ReadAll(Pcap() + second.str());
  EXPECT_THAT(read.bytes, ElementsAre("first packet", "second", "", "other"));
  EXPECT_EQ(read.packets[3].link_type, 101);
  EXPECT_EQ(read.packets[3].wall_ns, kSecond + 5);
  EXPECT_EQ(read.packets[0].link_type, 1);
  EXPECT_EQ(read.stats.sections, 2U);
  EXPECT_EQ(read.stats.damaged, 0U);
}

TEST(CaptureFileTest, PackingIsToldByContentAndTakenOff) {
  for (const bool big : {false, true}) {
    for (const std::string& plain : {Pcap(big), Pcapng(big)}) {
      const std::string first = plain.substr(0, 50), rest = plain.substr(50);
      const std::pair<std::string, Packing> kCases[] = {
          {plain, Packing::kNone},
          {PackGzip(plain), Packing::kGzip},
          {PackZstd(plain), Packing::kZstd},
          {PackGzip(first) + PackGzip(rest), Packing::kGzip},
          {PackZstd(first) + PackZstd(rest), Packing::kZstd},
          {PackGzip(plain) + std::string(100, '\0'), Packing::kGzip},
      };
      for (const auto& [file, packing] : kCases) {
        const Packets read = ReadAll(file);
        EXPECT_THAT(read.bytes, ElementsAre("first packet", "second", ""));
        EXPECT_EQ(read.stats.damaged, 0U) << read.Reasons();
        EXPECT_EQ(read.stats.packing, packing);
      }
    }
  }
}

TEST(CaptureFileTest, AFileCutAnywhereGivesItsWholePacketsAndSaysWhere) {
  for (const bool big : {false, true}) {
    for (const std::string& whole : {Pcap(big), Pcapng(big)}) {
      // Where the packets end.
      const bool ng = whole.substr(0, 4) == "\n\r\r\n";
      const std::vector<std::size_t> ends =
          ng ? std::vector<std::size_t>{92, 132, 164} : std::vector<std::size_t>{52, 74, 90};
      const std::vector<std::size_t> clean = ng ? std::vector<std::size_t>{28, 48, 92, 132, 164}
                                                : std::vector<std::size_t>{24, 52, 74, 90};
      ASSERT_EQ(whole.size(), ends.back());
      for (std::size_t cut = 4; cut <= whole.size(); ++cut) {
        const Packets read = ReadAll(whole.substr(0, cut));
        ASSERT_EQ(read.error, "");
        const auto expected =
            std::count_if(ends.begin(), ends.end(), [&](std::size_t end) { return end <= cut; });
        EXPECT_EQ(read.bytes.size(), static_cast<std::size_t>(expected)) << cut;
        const auto start =
            std::find_if(clean.rbegin(), clean.rend(), [&](std::size_t at) { return at <= cut; });
        const std::size_t from = start == clean.rend() ? 0 : *start;
        ASSERT_EQ(read.stats.damaged, from == cut ? 0U : 1U) << cut;
        if (from == cut) continue;
        EXPECT_EQ(read.stats.damage[0].offset, from) << cut;
        EXPECT_EQ(read.stats.damage[0].bytes, cut - from) << cut;
        EXPECT_THAT(read.stats.damage[0].reason, HasSubstr("cut off"));
      }
    }
  }
}

TEST(CaptureFileTest, APackedFileCutAnywhereNeverInventsAPacketAndIsDamaged) {
  for (const std::string& plain : {Pcap(), Pcapng()}) {
    for (const std::string& whole : {PackGzip(plain), PackZstd(plain)}) {
      for (std::size_t cut = 6; cut < whole.size(); ++cut) {
        const Packets read = ReadAll(whole.substr(0, cut));
        if (!read.error.empty()) {
          EXPECT_THAT(read.error, HasSubstr("cut off")) << cut;
          continue;
        }
        const std::vector<std::string> all = {"first packet", "second", ""};
        ASSERT_LE(read.bytes.size(), all.size());
        EXPECT_TRUE(std::equal(read.bytes.begin(), read.bytes.end(), all.begin())) << cut;
        EXPECT_EQ(read.stats.damaged, 1U) << cut << read.Reasons();
        EXPECT_THAT(read.Reasons(), HasSubstr("data are cut off")) << cut;
      }
    }
  }
}

TEST(CaptureFileTest, ChangedBytesNeverCostMoreThanWhatTheyTouchInPcapng) {
  CaptureBytes file(false);
  file.Section().Interface(1, 0);
  const std::size_t head = file.str().size();
  for (std::uint32_t i = 0; i < 5; ++i) file.Enhanced(0, i, "packet " + std::to_string(i), 60);
  const std::size_t each = (file.str().size() - head) / 5;
  const std::size_t second = head + each;
  for (const std::size_t at : {second, second + 4, second + 5, second + 7, second + each - 4}) {
    for (const char value : {'\x01', '\x7f', '\xff'}) {
      std::string damaged = file.str();
      damaged[at] = static_cast<char>(damaged[at] ^ value);
      const Packets read = ReadAll(damaged);
      EXPECT_THAT(read.bytes,
                  ::testing::IsSupersetOf({"packet 0", "packet 2", "packet 3", "packet 4"}))
          << at;
      if (at != second) {
        ASSERT_EQ(read.stats.damaged, 1U) << at;
        EXPECT_EQ(read.stats.damage[0].offset, second);
        EXPECT_EQ(read.stats.damage[0].bytes, each);
      }
    }
  }
}

TEST(CaptureFileTest, BytesBetweenBlocksAreSkippedAtAnyAlignment) {
  for (const std::size_t noise : {1U, 3U, 4U, 100U, 3'000'000U}) {
    CaptureBytes file(false);
    file.Section().Interface(1, 0).Enhanced(0, 1, "before", 6);
    const std::size_t at = file.str().size();
    file.Raw(std::string(noise, '\x06')).Enhanced(0, 2, "after", 5);
    const Packets read = ReadAll(file.str());
    EXPECT_THAT(read.bytes, ElementsAre("before", "after")) << noise;
    ASSERT_EQ(read.stats.damaged, 1U);
    EXPECT_EQ(read.stats.damage[0].offset, at);
    EXPECT_EQ(read.stats.damaged_bytes, noise);
  }
}

TEST(CaptureFileTest, SectionsAndInterfacesKeepTheirOwnLinkTypesTimesAndDrops) {
  const auto u64 = [](std::uint64_t v) { return CaptureBytes(true).U64(v).str(); };
  CaptureBytes nano(true), be(true);
  nano.Option(2, "eth1").Option(9, "\x09");
  be.Section().Interface(101, 0, nano.str()).Interface(113, 0);
  be.Enhanced(0, 5, "nano", 4).Enhanced(1, 5, "micro", 5).Enhanced(2, 5, "nowhere", 7);
  be.Block(5, be.Empty().U32(0).U64(0).Option(4, u64(100)).Option(5, u64(1)).Option(7, u64(2)));
  be.Block(5, be.Empty().U32(0).U64(0).Option(5, u64(3)));
  const Packets read = ReadAll(Pcapng() + be.str());
  EXPECT_THAT(read.bytes, ElementsAre("first packet", "second", "", "nano", "micro"));
  EXPECT_EQ(read.packets[3].interface, 1U);
  EXPECT_EQ(read.packets[3].link_type, 101);
  EXPECT_EQ(read.packets[3].wall_ns, 5);
  EXPECT_EQ(read.packets[4].interface, 2U);
  EXPECT_EQ(read.packets[4].link_type, 113);
  EXPECT_EQ(read.packets[4].wall_ns, 5'000);
  EXPECT_EQ(read.stats.sections, 2U);
  ASSERT_EQ(read.stats.interfaces.size(), 3U);
  EXPECT_EQ(read.stats.interfaces[0].packets, 3U);
  const CaptureInterface& eth1 = read.stats.interfaces[1];
  EXPECT_EQ(eth1.name, "eth1");
  EXPECT_EQ(eth1.received, 100U);
  EXPECT_EQ(eth1.interface_drops, 3U) << "the later one counts";
  EXPECT_EQ(eth1.os_drops, 2U);
  EXPECT_EQ(read.Reasons(), "a packet of no interface");
}

TEST(CaptureFileTest, ABrokenInterfaceKeepsItsNumber) {
  CaptureBytes file(false);
  file.Section().Block(1, file.Empty().U32(7)).Interface(101, 0).Enhanced(1, 1, "x", 1);
  const Packets read = ReadAll(file.str());
  ASSERT_EQ(read.packets.size(), 1U);
  EXPECT_EQ(read.packets[0].link_type, 101);
  EXPECT_EQ(read.Reasons(), "an interface that is too short");
}

TEST(CaptureFileTest, APacketWithoutATimeHasThatOfTheOneBefore) {
  CaptureBytes file(false);
  file.Section().Interface(1, 0).Enhanced(0, 3, "timed", 5);
  file.Block(3, file.Empty().U32(4).Raw("none"));
  const Packets read = ReadAll(file.str());
  EXPECT_THAT(read.bytes, ElementsAre("timed", "none"));
  EXPECT_EQ(read.packets[1].wall_ns, 3'000);
  EXPECT_EQ(read.stats.untimed, 1U);
}

TEST(CaptureFileTest, ProcessesComeBeforeThePacketsThatNameThem) {
  std::string file;
  AppendPcapngSection({}, &file);
  AppendPcapngInterface({"any", 276, 0}, &file);
  PcapngProcess process;
  process.id = ProcessId(42);
  process.exe = "/usr/sbin/sshd";
  AppendPcapngProcess(process, &file);
  PcapngPacket packet;
  packet.bytes = "hello";
  packet.process = process.id;
  packet.flow = FlowId(9);
  AppendPcapngPacket(packet, &file);
  const Packets read = ReadAll(file);
  ASSERT_EQ(read.processes.size(), 1U);
  EXPECT_EQ(read.processes[0].exe, "/usr/sbin/sshd");
  ASSERT_EQ(read.packets.size(), 1U);
  EXPECT_EQ(read.packets[0].process, 42U);
  EXPECT_EQ(read.packets[0].flow, 9U);
  EXPECT_EQ(read.packets[0].link_type, 276);
}

TEST(CaptureFileTest, APacketBeyondTheBoundIsCutAndOneBeyondBeliefIsDamage) {
  const std::string giant(kMaxCaptureBytes + 1, 'g');
  const auto size = static_cast<std::uint32_t>(giant.size());
  CaptureBytes pcap(false), ng(false), absurd(false), unlikely(false);
  pcap.PcapHeader(kMicro, 1).PcapRecord(1, 0, giant, size).PcapRecord(2, 0, "next", 4);
  ng.Section().Interface(1, 0).Enhanced(0, 1, giant, size).Enhanced(0, 2, "next", 4);
  for (const CaptureBytes* file : {&pcap, &ng}) {
    const Packets read = ReadAll(file->str());
    ASSERT_EQ(read.bytes.size(), 2U);
    EXPECT_EQ(read.bytes[0].size(), kMaxCaptureBytes);
    EXPECT_EQ(read.packets[0].wire_bytes, size);
    EXPECT_EQ(read.bytes[1], "next");
    EXPECT_EQ(read.stats.oversized, 1U);
    EXPECT_EQ(read.stats.damaged, 0U);
  }
  absurd.PcapHeader(kMicro, 1).PcapRecord(1, 0, "ok", 2).U32(1).U32(0).U32(0xfffffff0).U32(60);
  EXPECT_THAT(ReadAll(absurd.str()).bytes, ElementsAre("ok"));
  EXPECT_EQ(ReadAll(absurd.str()).Reasons(), "a packet of 4294967280 bytes");
  unlikely.PcapHeader(kMicro, 1).U32(1).U32(0).U32(size).U32(60).Raw(giant).Raw(
      std::string(64, '\xff'));
  EXPECT_THAT(ReadAll(unlikely.str()).Reasons(), HasSubstr("nothing sensible behind it"));
}

TEST(CaptureFileTest, WhatIsNoCaptureIsNamed) {
  using std::string_view_literals::operator""sv;
  const std::pair<std::string, std::string> kCases[] = {
      {"", "an empty file"},
      {"#separator \\x09\n", "a Zeek log"},
      {"hello\n", "text"},
      {"{\"a\":1}", "JSON"},
      {std::string("\x7f"
                   "ELF\2\1"),
       "a program"},
      {std::string("\x00\x01\x02\x03"sv), "data of an unknown format"},
      {PackGzip("hello"), "gzip data with text"},
      {std::string("\xfd"
                   "7zXZ\0\0"sv),
       "xz -dk"},
      {"BZh91AY", "bzip2 -dk"},
      {"PK\x03\x04....", "unzip"},
  };
  for (const auto& [bytes, says] : kCases) EXPECT_THAT(ReadAll(bytes).error, HasSubstr(says));
  EXPECT_EQ(CaptureReader::Open("/nonexistent/file").error().code, Code::kNotFound);
}

TEST(CaptureFileTest, ALargeFileIsReadAcrossItsWindows) {
  TempDir directory;
  CaptureBytes file(false);
  file.PcapHeader(kMicro, 1);
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    const std::string packet(i % 1501, static_cast<char>('a' + i % 26));
    bytes += packet.size();
    file.PcapRecord(i, 0, packet, 1500);
  }
  ASSERT_GT(file.str().size(), 2 * kWindowBytes);
  for (const std::string& content : {file.str(), PackGzip(file.str()), PackZstd(file.str())}) {
    std::ofstream(directory / "large", std::ios::binary) << content;
    auto reader = CaptureReader::Open(directory / "large");
    ASSERT_TRUE(reader.has_value()) << reader.error().message;
    CapturedPacket packet;
    for (std::uint32_t i = 0; i < 4000; ++i) {
      ASSERT_TRUE(*(*reader)->Next(packet));
      ASSERT_EQ(packet.bytes, std::string(i % 1501, static_cast<char>('a' + i % 26)));
    }
    EXPECT_FALSE(*(*reader)->Next(packet));
    EXPECT_EQ((*reader)->stats().bytes, bytes);
    EXPECT_EQ((*reader)->stats().damaged, 0U);
  }
}

TEST(CaptureFileTest, ADirectoryListsItsCapturesByTheirFirstPacket) {
  TempDir directory;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(directory / name, std::ios::binary) << bytes;
  };
  EXPECT_EQ(ListCaptures(directory.path()).error().code, Code::kNotFound);
  write("a-late", CaptureBytes(false).PcapHeader(kMicro, 1).PcapRecord(20, 0, "x", 1).str());
  write("b-early", PackGzip(Pcap()));
  write("c-empty", CaptureBytes(false).PcapHeader(kMicro, 1).str());
  write("notes.txt", "text");
  ASSERT_EQ(mkfifo((directory / "pipe").c_str(), 0600), 0);
  const auto listed = ListCaptures(directory.path());
  ASSERT_TRUE(listed.has_value()) << listed.error().message;
  EXPECT_THAT(*listed,
              ElementsAre(directory / "b-early", directory / "a-late", directory / "c-empty"));
  EXPECT_THAT(*ListCaptures(directory / "notes.txt"), ElementsAre(directory / "notes.txt"));
  EXPECT_THAT(*ListCaptures("-"), ElementsAre("-"));
  EXPECT_FALSE(ListCaptures(directory / "missing").has_value());
}

}  // namespace
}  // namespace culprit
