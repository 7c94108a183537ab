// SPDX-License-Identifier: Apache-2.0
#include "common/framed_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/damage.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class FramedLogTest : public ::testing::Test {
 protected:
  Frame Make(std::uint64_t seq, std::size_t size, const Uuid& stream) {
    FrameHeader header;
    header.stream_id = stream;
    header.seq = seq;
    return *MakeFrame(header, NoiseFor(seq, Lane::kEvidence, size));
  }
  Frame Make(std::uint64_t seq, std::size_t size = 100) { return Make(seq, size, log_id_); }
  SegmentWriter Create() {
    auto writer = SegmentWriter::Create(path_, {LogKind::kSpool, log_id_, 1, WallTime{}});
    EXPECT_TRUE(writer.has_value());
    return std::move(*writer);
  }
  static std::vector<std::uint64_t> Seqs(const SegmentContent& content) {
    std::vector<std::uint64_t> seqs;
    for (const Frame& frame : content.frames) seqs.push_back(frame.header.seq);
    return seqs;
  }

  TempDir dir_;
  std::string path_ = dir_ / "segment";
  Uuid log_id_ = Uuid::Random();
};

TEST_F(FramedLogTest, AReaderFollowsAFileThatGrowsAByteAtATime) {
  SegmentWriter writer = Create();
  int damage = 0;
  auto reader = SegmentReader::Open(path_, [&](const ReadDamage&) { ++damage; });
  ASSERT_TRUE(reader.has_value());
  const std::string record = EncodeRecord(Make(1)) + EncodeRecord(Make(2));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < record.size(); ++i) {
    ASSERT_TRUE(writer.AppendEncoded(record.substr(i, 1)).has_value());
    const auto frame = reader->Next();
    ASSERT_TRUE(frame.has_value());
    const bool whole = i + 1 == record.size() / 2 || i + 1 == record.size();
    EXPECT_EQ(frame->has_value(), whole);
    if (*frame) {
      EXPECT_EQ((*frame)->header.seq, ++seen);
    }
  }
  reader->Finish();
  EXPECT_EQ(damage, 0);
}

TEST_F(FramedLogTest, AnAppendOfManyPartsIsOneRunOfRecords) {
  SegmentWriter writer = Create();
  std::vector<std::string> records;
  for (std::uint64_t seq = 1; seq <= 200; ++seq) records.push_back(EncodeRecord(Make(seq, seq)));
  std::vector<iovec> parts;
  for (std::string& record : records) parts.push_back({record.data(), record.size()});
  ASSERT_TRUE(writer.AppendParts(parts).has_value());
  ASSERT_TRUE(writer.Append(Make(201)).has_value());
  const SegmentContent content = ReadSegmentFile(path_);
  EXPECT_THAT(content.frames, SizeIs(201));
  EXPECT_THAT(content.damage, IsEmpty());
  EXPECT_EQ(writer.offset(), std::filesystem::file_size(path_));
}

TEST_F(FramedLogTest, DamageInTheMiddleIsReportedWithItsBytesAndTheRestIsRead) {
  SegmentWriter writer = Create();
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) {
    offsets.push_back(writer.offset());
    ASSERT_TRUE(writer.Append(Make(seq, 300'000)).has_value());  // larger than the read buffer
  }
  OverwriteBytes(path_, offsets[1] + 52, "\xff\xff\x0f");  // a length that reaches over the next
  const SegmentContent content = ReadSegmentFile(path_);
  EXPECT_THAT(Seqs(content), ::testing::ElementsAre(1, 3, 4, 5));
  ASSERT_THAT(content.damage, SizeIs(1));
  EXPECT_EQ(content.damage[0].offset, offsets[1]);
  EXPECT_EQ(content.damage[0].bytes, offsets[2] - offsets[1]);
  EXPECT_FALSE(content.damage[0].torn_tail);
}

TEST_F(FramedLogTest, ARecordOfAnotherStreamInsideAPayloadIsNotTakenForOne) {
  SegmentWriter writer = Create();
  Frame host = Make(1);
  host.payload = "before" + EncodeRecord(Make(99, 50, Uuid::Random())) + "behind";
  host.header.payload_len = host.header.inflated_len =
      static_cast<std::uint32_t>(host.payload.size());
  host.header_bytes = EncodeFrameHeader(host.header);
  ASSERT_TRUE(writer.Append(host).has_value());
  ASSERT_TRUE(writer.Append(Make(2)).has_value());
  OverwriteBytes(path_, kSegmentHeaderBytes + 24, "\xff");
  EXPECT_THAT(Seqs(ReadSegmentFile(path_)), ::testing::ElementsAre(2));
}

TEST_F(FramedLogTest, ADamagedSegmentHeaderCostsNoRecord) {
  SegmentWriter writer = Create();
  ASSERT_TRUE(writer.Append(Make(1)).has_value());
  ASSERT_TRUE(writer.Append(Make(2)).has_value());
  OverwriteBytes(path_, 20, "??");
  const SegmentContent content = ReadSegmentFile(path_);
  EXPECT_THAT(Seqs(content), ::testing::ElementsAre(1, 2));
  ASSERT_THAT(content.damage, SizeIs(1));
  EXPECT_EQ(content.damage[0].bytes, kSegmentHeaderBytes);
}

TEST_F(FramedLogTest, OpenAtCutsATornTailOffAndGoesOn) {
  SegmentWriter writer = Create();
  ASSERT_TRUE(writer.Append(Make(1)).has_value());
  const std::uint64_t end = writer.offset();
  ASSERT_TRUE(writer.AppendEncoded(EncodeRecord(Make(2)).substr(0, 150)).has_value());
  const SegmentContent torn = ReadSegmentFile(path_);
  ASSERT_THAT(torn.damage, SizeIs(1));
  EXPECT_TRUE(torn.damage[0].torn_tail);
  EXPECT_EQ(torn.damage[0].bytes, 150U);
  auto again = SegmentWriter::OpenAt(path_, end);
  ASSERT_TRUE(again.has_value());
  ASSERT_TRUE(again->Append(Make(2)).has_value());
  const SegmentContent content = ReadSegmentFile(path_);
  EXPECT_THAT(Seqs(content), ::testing::ElementsAre(1, 2));
  EXPECT_THAT(content.damage, IsEmpty());
}

TEST_F(FramedLogTest, CreateNeverReplacesAFile) {
  WriteFileBytes(path_, "something");
  const auto writer = SegmentWriter::Create(path_, {});
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.error().code, Code::kAlreadyExists);
  EXPECT_EQ(ReadFileBytes(path_), "something");
}

}  // namespace
}  // namespace culprit
