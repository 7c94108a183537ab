// SPDX-License-Identifier: Apache-2.0
#include "agent/source/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "agent/source/recorder.h"
#include "agent/source/replay_source.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RecordingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / "culprit-recording.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/events.rec";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static RecordingHeader Header() {
    RecordingHeader header;
    header.boot_id.bytes[0] = 7;
    header.clock = {BootTimeFromNs(1'000), WallTimeFromNs(1'700'000'000'000'000'000),
                    ClockSync::kSynced};
    header.owner_mode = "last_sender";
    return header;
  }
  static std::string Record(std::uint64_t boot_ns, std::size_t size = sizeof(culprit_exit)) {
    std::string record(size, 'x');
    const culprit_header header{CULPRIT_RECORD_EXIT, 0, static_cast<culprit_u32>(size), boot_ns};
    std::memcpy(record.data(), &header, sizeof(header));
    return record;
  }
  void Write(std::string_view bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string ReadAll() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Plays the whole file.
  void Replay() {
    auto source =
        ReplaySource::Open(path_, [&](Event event) { events_.push_back(std::move(event)); });
    ASSERT_TRUE(source.has_value()) << source.error().message;
    const RecordSink sink = [&](std::string_view record) { records_.emplace_back(record); };
    ASSERT_TRUE((*source)->Start(sink).has_value());
    bool more = true;
    while (more) {
      auto polled = (*source)->Poll(milliseconds(0), sink);
      ASSERT_TRUE(polled.has_value()) << polled.error().message;
      more = *polled;
      clocks_.push_back((*source)->ReadClock());
    }
    stats_ = (*source)->stats();
  }

  std::string directory_, path_;
  std::vector<std::string> records_;
  std::vector<Event> events_;
  std::vector<ClockPair> clocks_;
  ReplayStats stats_;
};

TEST(RecordingFormatTest, AHashOfAnOlderRecordingHasNoPackage) {
  ExeHashEvent hash;
  hash.path = "/usr/bin/ssh";
  std::string body = EncodeExeHash(hash);
  body.resize(body.size() - 12);  // state, and an empty text
  const auto old = DecodeExeHash(body);
  ASSERT_TRUE(old.has_value()) << old.error().message;
  EXPECT_EQ(old->package, PackageFacts{});
  EXPECT_FALSE(DecodeExeHash(EncodeExeHash(hash) + "x").has_value());
}

TEST_F(RecordingTest, WhatWasRecordedComesBackInOrderWithItsClock) {
  ExeHashEvent hash;
  hash.at = BootTimeFromNs(5'000);
  hash.exe = {8, 1, 42, 4096, -5};
  hash.path = "/usr/bin/ssh";
  hash.sha256.fill(0xab);
  hash.hashed = true;
  hash.opened_by = Tgid(77);
  hash.package = {PackageState::kIntact, "openssh-client"};
  ProcfsEvent text;
  text.at = BootTimeFromNs(6'000);
  text.tgid = Tgid(1);
  text.start = BootTimeFromNs(10);
  text.exe = "/sbin/init";
  text.cwd = "/";
  text.argv = {"init", "", "x\xff"};
  text.container_id = std::string(64, 'a');
  {
    auto recorder = Recorder::Create(path_, Header(), 1 << 20);
    ASSERT_TRUE(recorder.has_value()) << recorder.error().message;
    (*recorder)->KernelRecord(Record(2'000));
    (*recorder)->SweepEnd(BootTimeFromNs(3'000));
    (*recorder)->Clock(
        {BootTimeFromNs(4'000), WallTimeFromNs(1'700'000'000'000'000'777), ClockSync::kUnsynced});
    (*recorder)->ExeHash(hash);
    (*recorder)->ProcessText(text);
    (*recorder)->KernelRecord(Record(9'000, 200));
  }
  Replay();
  EXPECT_THAT(records_, ElementsAre(Record(2'000), Record(9'000, 200)));
  ASSERT_EQ(events_.size(), 2U);
  const auto& got_hash = std::get<ExeHashEvent>(events_[0]);
  EXPECT_EQ(got_hash.exe, hash.exe);
  EXPECT_EQ(got_hash.path, hash.path);
  EXPECT_EQ(got_hash.sha256, hash.sha256);
  EXPECT_EQ(got_hash.opened_by, hash.opened_by);
  EXPECT_TRUE(got_hash.hashed);
  EXPECT_EQ(got_hash.package, hash.package);
  const auto& got_text = std::get<ProcfsEvent>(events_[1]);
  EXPECT_EQ(got_text.argv, text.argv);
  EXPECT_EQ(got_text.start, text.start);
  EXPECT_EQ(got_text.container_id, text.container_id);
  // One stop at the sweep, one at the end; the wall clock follows the recording's last pair.
  ASSERT_EQ(clocks_.size(), 2U);
  EXPECT_EQ(clocks_[0].boot, BootTimeFromNs(3'000));
  EXPECT_EQ(clocks_[1].boot, BootTimeFromNs(9'000));
  EXPECT_EQ(ToNs(clocks_[1].wall), 1'700'000'000'000'005'777);
  EXPECT_EQ(clocks_[1].sync, ClockSync::kUnsynced);
  EXPECT_EQ(stats_.damaged_entries, 0U);
}

TEST_F(RecordingTest, ReadingsOfInterfacesAndPassesComeBack) {
  const InterfaceCountersEvent interface {
    BootTimeFromNs(5'000), 4026531840U, "veth0", 1, 2, 3, ~0ULL
  };
  {
    auto recorder = Recorder::Create(path_, Header(), 1 << 20);
    ASSERT_TRUE(recorder.has_value()) << recorder.error().message;
    (*recorder)->Resync({BootTimeFromNs(4'000), false, true});
    (*recorder)->Resync({BootTimeFromNs(4'500), true, false});
    (*recorder)->InterfaceCounters(interface);
  }
  Replay();
  ASSERT_EQ(events_.size(), 3U);
  const auto& begin = std::get<ResyncEvent>(events_[0]);
  const auto& end = std::get<ResyncEvent>(events_[1]);
  EXPECT_TRUE(!begin.end && begin.sees_all && end.end && !end.sees_all);
  EXPECT_EQ(end.at, BootTimeFromNs(4'500));
  const auto& got = std::get<InterfaceCountersEvent>(events_[2]);
  EXPECT_EQ(got.at, interface.at);
  EXPECT_EQ(got.netns, interface.netns);
  EXPECT_EQ(got.name, interface.name);
  EXPECT_EQ(got.tx_bytes, 1U);
  EXPECT_EQ(got.tx_packets, 2U);
  EXPECT_EQ(got.rx_bytes, 3U);
  EXPECT_EQ(got.rx_packets, ~0ULL);
  EXPECT_EQ(stats_.damaged_entries, 0U);
}

TEST_F(RecordingTest, AFlippedBitCostsOneEntryAndIsCounted) {
  std::string file = EncodeRecordingHeader(Header());
  ASSERT_TRUE(AppendRecordingEntry(RecordingKind::kKernelRecord, Record(2'000), &file));
  const std::size_t in_first_body = file.size() - 3;
  ASSERT_TRUE(AppendRecordingEntry(RecordingKind::kKernelRecord, Record(3'000), &file));
  file[in_first_body] = static_cast<char>(file[in_first_body] ^ 1);
  Write(file);
  Replay();
  EXPECT_THAT(records_, ElementsAre(Record(3'000)));
  EXPECT_EQ(stats_.damaged_entries, 1U);
  EXPECT_EQ(stats_.damaged_bytes, kRecordingEntryHeadBytes + sizeof(culprit_exit));
}

TEST_F(RecordingTest, ATornTailIsCountedAndTheRestIsRead) {
  std::string file = EncodeRecordingHeader(Header());
  ASSERT_TRUE(AppendRecordingEntry(RecordingKind::kKernelRecord, Record(2'000), &file));
  const std::size_t whole = file.size();
  ASSERT_TRUE(AppendRecordingEntry(RecordingKind::kKernelRecord, Record(3'000), &file));
  for (const std::size_t cut : {std::size_t{1}, std::size_t{11}, std::size_t{13}}) {
    Write(std::string_view(file).substr(0, whole + cut));
    records_.clear();
    Replay();
    EXPECT_THAT(records_, ElementsAre(Record(2'000))) << cut;
    EXPECT_EQ(stats_.damaged_bytes, cut);
  }
}

TEST_F(RecordingTest, ATimeFarAheadDoesNotRunTheClockAway) {
  std::string file = EncodeRecordingHeader(Header());
  ASSERT_TRUE(AppendRecordingEntry(RecordingKind::kKernelRecord, Record(~0ULL), &file));
  Write(file);
  Replay();
  EXPECT_EQ(clocks_.back().boot, BootTimeFromNs(1'000));
}

TEST_F(RecordingTest, RecordingEndsAtItsCapAndSaysSo) {
  auto recorder = Recorder::Create(path_, Header(), 300);
  ASSERT_TRUE(recorder.has_value());
  for (int i = 0; i < 100; ++i) (*recorder)->KernelRecord(Record(2'000));
  EXPECT_THAT((*recorder)->stopped(), HasSubstr("cap of 300 bytes"));
  recorder->reset();
  EXPECT_LE(ReadAll().size(), 300U);
  Replay();
  EXPECT_FALSE(records_.empty());
}

struct BadFile {
  std::string_view name;
  std::string bytes;
  std::string_view message;
};

TEST_F(RecordingTest, WhatIsNoRecordingIsRefusedWithItsReason) {
  std::string damaged = EncodeRecordingHeader(Header());
  damaged[20] = static_cast<char>(damaged[20] ^ 1);
  RecordingHeader other = Header();
  other.abi_version = 999;
  const BadFile cases[] = {
      {"empty", "", "shorter than its header"},
      {"text", std::string(200, 'a'), "not a recording"},
      {"damaged", damaged, "checksum"},
      {"other abi", EncodeRecordingHeader(other), "version 999"},
  };
  for (const BadFile& bad : cases) {
    Write(bad.bytes);
    auto source = ReplaySource::Open(path_, nullptr);
    ASSERT_FALSE(source.has_value()) << bad.name;
    EXPECT_THAT(source.error().message, HasSubstr(std::string(bad.message))) << bad.name;
  }
  EXPECT_THAT(ReplaySource::Open(directory_ + "/none", nullptr).error().message,
              HasSubstr("No such file"));
}

}  // namespace
}  // namespace culprit
