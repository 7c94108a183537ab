// SPDX-License-Identifier: Apache-2.0
#include "collector/store/minute_rollup.h"

#include <gtest/gtest.h>

#include "collector/store/process_bloom.h"

namespace culprit {
namespace {

IpAddress Address(std::uint32_t n) {
  const std::uint8_t bytes[4] = {10, static_cast<std::uint8_t>(n >> 16),
                                 static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
  return IpAddress::FromV4Bytes(bytes);
}

TEST(DistinctSketchTest, ExactWhileSmallAndWithinAFifthWhenLarge) {
  for (const std::uint32_t n : {0U, 1U, 32U, 33U, 500U, 20'000U}) {
    DistinctSketch sketch;
    for (std::uint32_t i = 0; i < n; ++i) {
      sketch.Insert(Address(i));
      sketch.Insert(Address(i));
    }
    const auto tolerance = static_cast<double>(n > 32 ? n / 5 : 0);
    EXPECT_NEAR(static_cast<double>(sketch.Count()), n, tolerance);
    EXPECT_EQ(DistinctSketch::Decode(sketch.Encode()).Count(), sketch.Count());
  }
}

TEST(DistinctSketchTest, MergeCountsCommonAddressesOnce) {
  DistinctSketch a, b;
  for (std::uint32_t i = 0; i < 20; ++i) a.Insert(Address(i));
  for (std::uint32_t i = 10; i < 30; ++i) b.Insert(Address(i));
  a.Merge(b);
  EXPECT_EQ(a.Count(), 30U);
}

TEST(DistinctSketchTest, NonsenseIsAnEmptySet) {
  for (const std::string bytes : {"", "x", "r", "e123", "rrrr"}) {
    EXPECT_EQ(DistinctSketch::Decode(bytes).Count(), 0U) << bytes;
  }
}

TEST(MinuteRollupTest, SharesOfARowAddUpToTheWhole) {
  const WallTime t0 = WallTimeFromNs(kMinuteNs * 3 + 7), t1 = WallTimeFromNs(kMinuteNs * 6 + 11);
  const MinuteSpan span = MinutesOf(t0, t1);
  std::uint64_t sum = 0;
  for (std::int64_t m = span.first; m <= span.last; ++m) sum += MinuteShare(1'000'003, t0, t1, span, m);
  EXPECT_EQ(sum, 1'000'003U);
  EXPECT_EQ(span.last - span.first, 3);
}

TEST(ProcessBloomTest, NeverForgetsAProcess) {
  ProcessBloom bloom;
  for (std::uint64_t p = 0; p < 2000; ++p) bloom.Insert(p * 0x9e3779b97f4a7c15ULL);
  int wrong = 0;
  for (std::uint64_t p = 0; p < 2000; ++p) {
    EXPECT_TRUE(ProcessBloom::MayContain(bloom.bytes(), p * 0x9e3779b97f4a7c15ULL));
    wrong += ProcessBloom::MayContain(bloom.bytes(), (p + 5000) * 0x9e3779b97f4a7c15ULL) ? 1 : 0;
  }
  EXPECT_LT(wrong, 400);
}

}  // namespace
}  // namespace culprit
