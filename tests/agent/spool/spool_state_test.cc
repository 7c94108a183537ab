// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_state.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

TEST(SpoolStateTest, EveryFileReadsBackAsWritten) {
  const SpoolStream stream{Uuid::Random(), Uuid::Random(), "tail_lost"};
  const auto stream_back = ParseStream(FormatStream(stream));
  ASSERT_TRUE(stream_back.has_value());
  EXPECT_EQ(stream_back->id, stream.id);
  EXPECT_EQ(stream_back->previous, stream.previous);
  EXPECT_EQ(stream_back->reason, stream.reason);

  SpoolAcked acked{Uuid::Random(), {}};
  acked.lanes[1] = {5, UINT64_MAX, 3, Sha256Of("x")};
  const auto acked_back = ParseAcked(FormatAcked(acked));
  ASSERT_TRUE(acked_back.has_value());
  EXPECT_EQ(acked_back->stream, acked.stream);
  EXPECT_EQ(acked_back->lanes[1].newest, UINT64_MAX);
  EXPECT_EQ(acked_back->lanes[1].newest_hash, Sha256Of("x"));

  SpoolLosses losses;
  losses.taken_after = 9;
  losses.entries.push_back({SpoolLossEntry::State::kTaken,
                            {SpoolLoss::Cause::kWriteFailed, Lane::kBulk, 1, 2, 3, 4, 5,
                             Sha256Of("y"), "disk full:\nno space"}});
  losses.entries.push_back({SpoolLossEntry::State::kDeclared, {}});
  const auto losses_back = ParseLosses(FormatLosses(losses));
  ASSERT_TRUE(losses_back.has_value());
  ASSERT_EQ(losses_back->entries.size(), 2U);
  EXPECT_EQ(losses_back->entries[0].loss.detail, "disk full: no space");
  EXPECT_EQ(losses_back->entries[0].loss.end_hash, Sha256Of("y"));
  EXPECT_EQ(losses_back->entries[1].loss.detail, "");
}

TEST(SpoolStateTest, EveryFlippedBitIsNoticed) {
  const std::string text = FormatStream({Uuid::Random(), Uuid{}, "new"});
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(ParseStream(flipped).has_value()) << bit;
  }
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(ParseStream(text.substr(0, size)).has_value()) << size;
  }
}

TEST(SpoolStateTest, OnlyNamesThatTheSpoolMakesAreSegments) {
  Lane lane{};
  std::uint64_t number = 0;
  EXPECT_TRUE(ParseSpoolSegmentName("bulk-00000000000000ff.clog", &lane, &number));
  EXPECT_EQ(lane, Lane::kBulk);
  EXPECT_EQ(number, 255U);
  for (const char* name : {"bulk-00000000000000FF.clog", "bulk-ff.clog", "bulk-00000000000000ff.clo",
                           "bulk_00000000000000ff.clog", "-00000000000000ff.clog", "",
                           "evidence-00000000000000fg.clog",
                           "evidence-00000000000000ff.clog.corrupt"}) {
    EXPECT_FALSE(ParseSpoolSegmentName(name, &lane, &number)) << name;
  }
}

}  // namespace
}  // namespace culprit
