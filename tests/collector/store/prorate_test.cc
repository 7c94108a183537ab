// SPDX-License-Identifier: Apache-2.0
#include "collector/store/prorate.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

WallTime T(std::int64_t ns) { return WallTimeFromNs(ns); }

TEST(ProrateTest, AdjoiningWindowsShareARowWithoutLossOrExcess) {
  const std::uint64_t value = 1'000'003;
  for (std::int64_t width : {1, 7, 100, 333, 999}) {
    std::uint64_t sum = 0;
    for (std::int64_t from = 0; from < 2000; from += width) {
      const Window w{T(from), T(from + width)};
      if (w.Touches(T(500), T(1500))) sum += Share(value, T(500), T(1500), w);
    }
    EXPECT_EQ(sum, value) << width;
  }
}

TEST(ProrateTest, HalfOfTheTimeIsHalfOfTheBytesBeyondFourGiB) {
  const Window w{T(0), T(1000)};
  EXPECT_EQ(Share(209'000'000'000, T(500), T(1500), w), 104'500'000'000U);
  EXPECT_EQ(Share(std::uint64_t{1} << 62, T(500), T(1500), w), std::uint64_t{1} << 61);
}

TEST(ProrateTest, RowBelongsToTheWindowsThatItReachesInto) {
  EXPECT_TRUE((Window{T(10), T(20)}.Touches(T(5), T(11))));
  EXPECT_FALSE((Window{T(10), T(20)}.Touches(T(5), T(10))));
  EXPECT_TRUE((Window{T(10), T(20)}.Touches(T(19), T(30))));
  EXPECT_FALSE((Window{T(10), T(20)}.Touches(T(20), T(30))));
  EXPECT_TRUE((Window{T(10), T(20)}.Touches(T(10), T(10))));
  EXPECT_FALSE((Window{T(10), T(20)}.Touches(T(20), T(20))));
  EXPECT_TRUE((Window{}.Touches(T(20), T(20))));
}

}  // namespace
}  // namespace culprit
