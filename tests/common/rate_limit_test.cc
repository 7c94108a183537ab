// SPDX-License-Identifier: Apache-2.0
#include "common/rate_limit.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const RateLimit::TimePoint kStart(seconds(1000));

TEST(RateLimitTest, TakesTheBurstAndThenTheRate) {
  RateLimit limit(10, 3);
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += limit.Take(1, kStart) ? 1 : 0;
  EXPECT_EQ(taken, 3);
  for (int ms = 1; ms <= 1000; ++ms) taken += limit.Take(1, kStart + milliseconds(ms)) ? 1 : 0;
  EXPECT_EQ(taken, 13);
  EXPECT_FALSE(limit.Take(4, kStart + seconds(1000))) << "never more than the burst";
  EXPECT_TRUE(limit.Take(3, kStart + seconds(2000)));
}

TEST(RateLimitTest, ADebtIsWaitedFor) {
  RateLimit limit(1000, 500);
  EXPECT_EQ(limit.Charge(500, kStart), milliseconds(0));
  EXPECT_EQ(limit.Charge(1000, kStart), seconds(1));
  EXPECT_EQ(limit.Charge(500, kStart + seconds(1)), milliseconds(500));
  EXPECT_EQ(limit.Charge(1, kStart + seconds(100)), milliseconds(0));
}

TEST(RateLimitTest, AClockThatGoesBackGivesNothing) {
  RateLimit limit(1000, 1);
  EXPECT_TRUE(limit.Take(1, kStart));
  EXPECT_FALSE(limit.Take(1, kStart - seconds(10)));
  EXPECT_FALSE(limit.Take(1, kStart));
}

}  // namespace
}  // namespace culprit
