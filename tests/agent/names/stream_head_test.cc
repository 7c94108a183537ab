// SPDX-License-Identifier: Apache-2.0
#include "agent/names/stream_head.h"

#include <gtest/gtest.h>

#include <random>

namespace culprit {
namespace {

TEST(StreamHeadTest, SegmentsInAnyOrderGiveTheStream) {
  const std::string text = "abcdefghijklmnopqrstuvwxyz";
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): the same every time
  for (int round = 0; round < 500; ++round) {
    StreamHead head(text.size());
    for (int i = 0; i < 400 && !head.full(); ++i) {
      const std::size_t at = random() % text.size();
      head.Add(at, std::string_view(text).substr(at, 1 + random() % 6));
      ASSERT_EQ(head.in_order(), text.substr(0, head.in_order().size()));
    }
    ASSERT_EQ(head.in_order(), text);
  }
}

TEST(StreamHeadTest, OfBytesThatComeTwiceTheFirstAreKept) {
  StreamHead head;
  EXPECT_FALSE(head.Add(2, "CD"));
  EXPECT_TRUE(head.has_gap());
  EXPECT_TRUE(head.Add(0, "abcdef"));
  EXPECT_EQ(head.in_order(), "abCDef");
  EXPECT_FALSE(head.Add(0, "xxxxxx"));
  EXPECT_EQ(head.in_order(), "abCDef");
  EXPECT_FALSE(head.has_gap());
}

TEST(StreamHeadTest, NoMoreThanTheLimitIsHeld) {
  StreamHead head(8);
  EXPECT_FALSE(head.Add(8, "x"));
  EXPECT_FALSE(head.Add(~std::uint64_t{0}, "x"));
  EXPECT_TRUE(head.Add(0, "0123456789"));
  EXPECT_TRUE(head.full());
  EXPECT_EQ(head.in_order(), "01234567");
}

TEST(StreamHeadTest, PiecesAreBounded) {
  StreamHead head;
  for (std::size_t i = 0; i < 4 * kMaxStreamPieces; ++i) head.Add(2 * i + 2, "x");
  std::string filler(2 * kMaxStreamPieces + 2, 'y');
  head.Add(0, filler);
  // Those that were held are kept, those past the bound are not there.
  EXPECT_EQ(head.in_order().size(), filler.size());
  EXPECT_FALSE(head.has_gap());
}

}  // namespace
}  // namespace culprit
