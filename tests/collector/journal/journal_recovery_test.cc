// SPDX-License-Identifier: Apache-2.0
// Whatever is done to a journal's directory: it opens, serves what is whole, and names what is not.
#include <gmock/gmock.h>

#include <filesystem>
#include <random>

#include "common/framed_log.h"
#include "tests/collector/journal/journal_fixture.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class JournalRecoveryTest : public JournalFixture {
 protected:
  JournalRecoveryTest() : JournalFixture(TempDir::Where::kMemory) {}
  void Prepare(int entries) {
    Open();
    AppendMany(&maker_, entries);
    journal_.reset();
    CopyDirectory(options_.directory, dir_ / "original");
  }
  void Restore() {
    journal_.reset();
    CopyDirectory(dir_ / "original", options_.directory);
  }
  FrameMaker maker_;
};

TEST_F(JournalRecoveryTest, CutAtEveryByteTheWholeEntriesComeBack) {
  Open();
  AppendMany(&maker_, 4, 20);
  journal_.reset();
  CopyDirectory(options_.directory, dir_ / "original");
  const std::string name = SegmentFiles().at(0);
  const std::string whole = ReadFileBytes(PathOf(name));
  std::vector<std::size_t> ends = {kSegmentHeaderBytes};
  for (const Frame& frame : ReadSegmentFile(PathOf(name)).frames) {
    ends.push_back(ends.back() + kRecordOverheadBytes + frame.payload.size());
  }
  ASSERT_EQ(ends.back(), whole.size());
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    Restore();
    std::filesystem::resize_file(PathOf(name), size);
    Open();
    const auto left = static_cast<Lsn>(
        std::upper_bound(ends.begin() + 1, ends.end(), size) - (ends.begin() + 1));
    EXPECT_EQ(Lsns(), Range(1, left));
    const bool at_edge = size < kSegmentHeaderBytes || size == ends[left];
    EXPECT_THAT(journal_->damage(), SizeIs(at_edge ? 0 : 1));
    if (size % 16 == 0) {
      FrameMaker other;
      const auto lsn = Append(other.Make());
      ASSERT_TRUE(lsn.has_value());
      EXPECT_EQ(*lsn, left + 1);
      journal_->Stop();
      EXPECT_THAT(Text(Verify().damage), IsEmpty());
    }
  }
}

TEST_F(JournalRecoveryTest, EveryFlippedBitIsNoticedAndCostsAtMostItsEntry) {
  UseSigningKey();
  Prepare(30);
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    Restore();
    const auto files = SegmentFiles();
    const std::string name = files[random() % files.size()];
    const std::uint64_t bit = random() % (std::filesystem::file_size(PathOf(name)) * 8);
    SCOPED_TRACE(name + " bit " + std::to_string(bit));
    FlipBit(PathOf(name), bit);
    EXPECT_THAT(Verify().damage, Not(IsEmpty()));
    Open();
    const std::size_t left = ScanAll().size();
    EXPECT_EQ(left, bit / 8 < kSegmentHeaderBytes ? 30U : 29U);
    // Goes on, and never gives an LSN of the damaged end again.
    const auto lsn = Append(maker_.Make());
    ASSERT_TRUE(lsn.has_value());
    EXPECT_GE(*lsn, 31U);
    EXPECT_EQ(ScanAll().size(), left + 1);
  }
}

TEST_F(JournalRecoveryTest, AFlippedBitInTheOpenSegmentIsReportedWithItsBytes) {
  Prepare(3);
  const std::string name = SegmentFiles().at(0);
  OverwriteBytes(PathOf(name), kSegmentHeaderBytes + kRecordOverheadBytes + 5, "!");
  Open();
  ASSERT_THAT(journal_->damage(), SizeIs(2));
  EXPECT_EQ(journal_->damage()[0].what, "entries 1 to 1 are missing before it");
  EXPECT_EQ(journal_->damage()[1].file, name);
  EXPECT_EQ(journal_->damage()[1].offset, kSegmentHeaderBytes);
  EXPECT_GT(journal_->damage()[1].bytes, 400U);
  EXPECT_EQ(Lsns(), Range(2, 3));
}

TEST_F(JournalRecoveryTest, MissingAndForeignFilesAreNamed) {
  Prepare(40);
  const auto files = SegmentFiles();
  std::filesystem::remove(PathOf(files[1]));
  WriteFileBytes(PathOf("journal-0000000000009999.clog"), std::string(400, 'x'));
  WriteFileBytes(PathOf("notes.txt"), "hello");
  Open();
  const std::string text = Text(journal_->damage());
  EXPECT_THAT(text, HasSubstr("missing before it"));
  EXPECT_THAT(text, HasSubstr("the segment of this seal is missing"));
  EXPECT_THAT(text, HasSubstr("journal-0000000000009999.clog"));
  EXPECT_LT(ScanAll().size(), 40U);
  EXPECT_EQ(ScanAll().back().lsn, 40U);
  EXPECT_THAT(Text(Verify().damage), HasSubstr("missing"));
}

TEST_F(JournalRecoveryTest, ALostOrGarbageSealIsWrittenAgainAndSaid) {
  UseSigningKey();
  Prepare(40);
  for (const bool remove : {true, false}) {
    Restore();
    const std::string seal = FilesWithSuffix(options_.directory, ".seal").at(0);
    if (remove) {
      std::filesystem::remove(PathOf(seal));
    } else {
      WriteFileBytes(PathOf(seal), "garbage");
    }
    Open();
    EXPECT_THAT(Text(journal_->damage()), HasSubstr("seal"));
    EXPECT_EQ(Lsns(), Range(1, 40));
    EXPECT_THAT(journal_->lane_heads(), SizeIs(1));
    journal_->Stop();
    EXPECT_THAT(Text(Verify().damage), IsEmpty());
  }
}

TEST_F(JournalRecoveryTest, VerifyNoticesEveryKindOfTampering) {
  UseSigningKey();
  Prepare(40);
  const std::string seal = FilesWithSuffix(options_.directory, ".seal").at(1);
  std::string text = ReadFileBytes(PathOf(seal));
  text.replace(text.find("\"seq\": \"") + 8, 1, "9");
  WriteFileBytes(PathOf(seal), text);
  EXPECT_THAT(Text(Verify().damage), HasSubstr("signature does not verify"));

  Restore();  // a segment cut short together with its seal
  const std::string name = SegmentFiles().at(1);
  std::filesystem::remove(PathOf(seal));
  std::filesystem::resize_file(
      PathOf(name), kSegmentHeaderBytes + kRecordOverheadBytes +
                        ReadSegmentFile(PathOf(name)).frames[0].payload.size());
  EXPECT_THAT(Text(Verify().damage), HasSubstr("has no seal"));
  EXPECT_THAT(Text(Verify().damage), HasSubstr("missing before it"));

  Restore();  // an entry rewritten with a right checksum
  std::string content = ReadFileBytes(PathOf(name));
  Frame frame = ReadSegmentFile(PathOf(name)).frames[0];
  frame.payload.back() = static_cast<char>(frame.payload.back() ^ 1);
  const std::string record = EncodeRecord(frame);
  content.replace(kSegmentHeaderBytes, record.size(), record);
  WriteFileBytes(PathOf(name), content);
  EXPECT_THAT(Text(Verify().damage), HasSubstr("has another hash than it says"));
  EXPECT_THAT(Text(Verify().damage), HasSubstr("SHA-256 differs"));
}

TEST_F(JournalRecoveryTest, AnInterruptedRetentionLeavesNoUnexplainedHole) {
  Prepare(40);
  Open();
  ASSERT_TRUE(journal_->Retain(8 << 10, WallTime{}).has_value());
  journal_.reset();
  const std::string seal = FilesWithSuffix(dir_ / "original", ".seal").at(0);
  std::filesystem::copy(dir_ / ("original/" + seal), PathOf(seal));  // unlinked last
  Open();
  EXPECT_THAT(Text(journal_->damage()), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(PathOf(seal)));
}

}  // namespace
}  // namespace culprit
