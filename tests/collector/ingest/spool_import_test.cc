// SPDX-License-Identifier: Apache-2.0
// Spools as agents write them, put into files as they lie in a bucket, and taken into a journal.
#include "collector/ingest/spool_import.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "agent/stream/spool_object.h"
#include "collector/model/imported.h"
#include "culprit/v1/evidence.pb.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

MATCHER_P2(IsRange, first, last, "") { return arg.first == first && arg.last == last; }

// One lane of an agent, whose frames are chained.
class Chain {
 public:
  explicit Chain(Lane lane, Uuid stream = Uuid::Random(), std::uint64_t salt = 0)
      : stream_(stream), lane_(lane), salt_(salt) {}

  Frame Next() {
    ++seq_;
    v1::EvidenceBatch batch;
    batch.set_boot_id(std::string(16, 'b'));
    v1::ProcessExit* exit = batch.add_exits();
    exit->set_process_id(seq_ + salt_);
    exit->set_exit_boot_ns(seq_ * 1'000'000'000);
    FrameHeader header;
    header.lane = lane_;
    header.stream_id = stream_;
    header.seq = seq_;
    header.clock = {BootTimeFromNs(seq_ * 1'000'000'000),
                    WallTimeFromNs(1'000'000'000 * static_cast<std::int64_t>(1'700'000'000 + seq_)),
                    ClockSync::kSynced};
    header.record_count = 1;
    header.prev_hash = prev_;
    auto frame = MakeFrame(header, batch.SerializeAsString());
    prev_ = frame->hash;
    return std::move(*frame);
  }
  const Uuid& stream() const { return stream_; }

 private:
  Uuid stream_;
  Lane lane_;
  std::uint64_t salt_;
  std::uint64_t seq_ = 0;
  Sha256Digest prev_{};
};

class SpoolImportTest : public ::testing::Test {
 protected:
  SpoolImportTest() { OpenJournal(); }

  void OpenJournal() {
    journal_.reset();
    JournalOptions options;
    options.directory = dir_ / "journal";
    auto journal = Journal::Open(options);
    ASSERT_TRUE(journal.has_value()) << journal.error().message;
    journal_ = std::move(*journal);
  }
  // The next `n` frames as an object of the bucket.
  std::string Put(Chain* chain, int n, const Uuid& agent) {
    SpoolObject object;
    for (int i = 0; i < n; ++i) object.Add(chain->Next());
    return Write(object, agent, chain->stream());
  }
  std::string Write(const SpoolObject& object, const Uuid& agent, const Uuid& stream) {
    const std::string folder =
        dir_ / ("bucket/culprit/" + agent.ToString() + "/" + stream.ToString());
    fs::create_directories(folder);
    const std::string path = folder + "/" + std::to_string(++objects_) + ".clog";
    std::ofstream(path, std::ios::binary) << object.bytes();
    return path;
  }
  ImportReport Import(std::optional<Uuid> agent = std::nullopt) {
    auto report = ImportSpool({{dir_ / "bucket"}, agent}, journal_.get());
    EXPECT_TRUE(report.has_value()) << (report ? "" : report.error().message);
    return report ? std::move(*report) : ImportReport{};
  }
  std::vector<StoredFrame> Journalled() {
    std::vector<StoredFrame> all;
    EXPECT_TRUE(journal_->Scan(1, [&](const StoredFrame& stored) {
      all.push_back(stored);
      return true;
    }));
    return all;
  }

  TempDir dir_;
  std::unique_ptr<Journal> journal_;
  int objects_ = 0;
  const Uuid agent_ = Uuid::Random();
};

TEST_F(SpoolImportTest, EveryFrameIsInTheJournalOnceByteForByteInTheOrderOfTime) {
  fs::create_directories(dir_ / "bucket");
  Chain evidence(Lane::kEvidence), bulk(Lane::kBulk, evidence.stream());
  for (const int n : {3, 1, 6}) Put(&evidence, n, agent_);
  for (const int n : {4, 5}) Put(&bulk, n, agent_);
  const ImportReport report = Import();
  EXPECT_TRUE(report.whole());
  EXPECT_EQ(report.files, 5U);
  ASSERT_THAT(report.lanes, SizeIs(2));
  EXPECT_EQ(report.lanes[0].imported, 10U);
  EXPECT_EQ(report.lanes[1].imported, 9U);
  const std::vector<StoredFrame> all = Journalled();
  ASSERT_THAT(all, SizeIs(19));
  WallTime last{};
  for (const StoredFrame& stored : all) {
    EXPECT_EQ(FrameHash(stored.frame.header_bytes, stored.frame.payload), stored.frame.hash);
    EXPECT_EQ(stored.stamp.agent_id, agent_);
    EXPECT_EQ(stored.stamp.peer, kImportPeer);
    EXPECT_EQ(stored.stamp.sequence,
              stored.frame.header.seq == 1 ? SequenceState::kFirst : SequenceState::kInOrder);
    EXPECT_GE(stored.frame.header.clock.wall, last);
    last = stored.frame.header.clock.wall;
  }
}

TEST_F(SpoolImportTest, ASecondRunTakesWhatIsNewAndNothingTwice) {
  Chain chain(Lane::kEvidence);
  Put(&chain, 5, agent_);
  Import();
  Put(&chain, 4, agent_);
  for (const bool fresh : {true, false}) {
    OpenJournal();
    const ImportReport report = Import();
    EXPECT_TRUE(report.whole());
    ASSERT_THAT(report.lanes, SizeIs(1));
    EXPECT_EQ(report.lanes[0].imported, fresh ? 4U : 0U);
    EXPECT_EQ(report.lanes[0].present, fresh ? 5U : 9U);
  }
  EXPECT_THAT(Journalled(), SizeIs(9));
}

TEST_F(SpoolImportTest, FilesThatOverlapAreOneSequence) {
  Chain chain(Lane::kBulk);
  SpoolObject first, second;
  for (int i = 0; i < 6; ++i) {
    const Frame frame = chain.Next();
    if (i < 4) first.Add(frame);
    if (i > 1) second.Add(frame);
  }
  Write(second, agent_, chain.stream());
  Write(first, agent_, chain.stream());
  const ImportReport report = Import();
  EXPECT_TRUE(report.whole());
  EXPECT_EQ(report.lanes.at(0).imported, 6U);
  EXPECT_EQ(report.lanes.at(0).present, 2U);
}

TEST_F(SpoolImportTest, AFileThatIsNotThereIsAGapAndTooLateAfterwards) {
  Chain chain(Lane::kEvidence);
  Put(&chain, 3, agent_);
  const std::string missing = Put(&chain, 2, agent_);
  Put(&chain, 3, agent_);
  fs::rename(missing, dir_ / "aside");
  ImportReport report = Import();
  EXPECT_FALSE(report.whole());
  EXPECT_EQ(report.lanes.at(0).imported, 6U);
  EXPECT_THAT(report.lanes.at(0).missing, ElementsAre(IsRange(4U, 5U)));
  const std::vector<StoredFrame> all = Journalled();
  EXPECT_EQ(all.at(3).stamp.sequence, SequenceState::kGap);
  EXPECT_EQ(all.at(3).stamp.missing_from_seq, 4U);
  EXPECT_EQ(all.at(3).stamp.missing_to_seq, 5U);

  fs::rename(dir_ / "aside", missing);
  OpenJournal();
  report = Import();
  EXPECT_EQ(report.lanes.at(0).imported, 0U);
  EXPECT_EQ(report.lanes.at(0).late, 2U);
  EXPECT_EQ(report.lanes.at(0).present, 6U);
  EXPECT_FALSE(report.whole());
}

TEST_F(SpoolImportTest, AFlippedByteCostsItsFrameAndIsTold) {
  Chain chain(Lane::kEvidence);
  const std::string path = Put(&chain, 5, agent_);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(kSegmentHeaderBytes + kRecordOverheadBytes + 3));
  file.put('\x7f');
  file.close();
  const ImportReport report = Import();
  ASSERT_THAT(report.damage, SizeIs(1));
  EXPECT_EQ(report.damage[0].file, path);
  EXPECT_EQ(report.damage[0].offset, kSegmentHeaderBytes);
  EXPECT_EQ(report.lanes.at(0).imported, 4U);
  EXPECT_THAT(report.lanes.at(0).missing, ElementsAre(IsRange(1U, 1U)));
}

TEST_F(SpoolImportTest, OtherEvidenceUnderANumberThatIsTakenIsRefused) {
  Chain chain(Lane::kEvidence), forged(Lane::kEvidence, chain.stream(), 1000);
  Put(&chain, 4, agent_);
  forged.Next();
  Put(&forged, 1, agent_);
  const ImportReport report = Import();
  EXPECT_EQ(report.lanes.at(0).imported, 4U);
  EXPECT_EQ(report.lanes.at(0).refused, 1U);
  EXPECT_EQ(report.refusals.count("fork"), 1U);
  EXPECT_FALSE(report.whole());
}

TEST_F(SpoolImportTest, WhoseFilesAreThatNoFolderNamesMustBeSaid) {
  Chain chain(Lane::kEvidence);
  const std::string path = Put(&chain, 2, agent_);
  fs::rename(path, dir_ / "loose.clog");
  const ImportOptions nameless{{dir_ / "loose.clog"}, std::nullopt};
  auto report = ImportSpool(nameless, journal_.get());
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(report->lanes, IsEmpty());
  ASSERT_THAT(report->damage, SizeIs(1));
  EXPECT_THAT(report->damage[0].what, HasSubstr("--agent"));
  report = ImportSpool({nameless.paths, agent_}, journal_.get());
  EXPECT_EQ(report->lanes.at(0).imported, 2U);
  // The journal knows now.
  OpenJournal();
  EXPECT_EQ(ImportSpool(nameless, journal_.get())->lanes.at(0).present, 2U);
  report = ImportSpool({nameless.paths, Uuid::Random()}, journal_.get());
  EXPECT_THAT(report->damage.at(0).what, HasSubstr("agent " + agent_.ToString()));
}

TEST_F(SpoolImportTest, TheTimeOfReceiptIsThatOfTheObject) {
  Chain chain(Lane::kEvidence);
  const std::string path = Put(&chain, 1, agent_);
  const timespec stored[2] = {{1'700'000'030, 0}, {1'700'000'030, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), stored, 0), 0);
  Import();
  EXPECT_EQ(ToNs(Journalled().at(0).stamp.received), 1'700'000'030'000'000'000);
}

TEST_F(SpoolImportTest, WhatIsNoSegmentIsToldAndLeftOut) {
  fs::create_directories(dir_ / "bucket");
  std::ofstream(dir_ / "bucket/a.clog") << "not a segment";
  std::ofstream(dir_ / "bucket/b.clog") << std::string(5000, 'x');
  std::ofstream(dir_ / "bucket/note.txt") << "not looked at";
  fs::create_symlink("/dev/zero", dir_ / "bucket/c.clog");
  const ImportReport report = Import();
  EXPECT_EQ(report.files, 2U);
  EXPECT_THAT(report.damage, SizeIs(2));
  EXPECT_THAT(Journalled(), IsEmpty());
  EXPECT_FALSE(ImportSpool({{dir_ / "nowhere"}, std::nullopt}, journal_.get()).has_value());
}

}  // namespace
}  // namespace culprit
