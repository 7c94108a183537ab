// SPDX-License-Identifier: Apache-2.0
#include "common/rate_limit.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

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

// Whoever waits as long as he is told stays below the rate over any stretch, also after a pause.
TEST(RateLimitTest, WithoutABurstNoStretchIsAboveTheRate) {
  constexpr double kRate = 1 << 20;
  RateLimit limit(kRate, 0);
  auto now = kStart;
  std::vector<std::pair<double, RateLimit::TimePoint>> sent;  // bytes before it, and when
  double bytes = 0;
  for (int part = 0; part < 200; ++part) {
    if (part % 50 == 49) now += seconds(60);  // nothing to send for a while
    const double size = part % 3 == 0 ? 256 << 10 : 1000 * part;
    now += limit.Charge(size, now);
    sent.emplace_back(bytes, now);
    bytes += size;
  }
  for (std::size_t from = 0; from < sent.size(); ++from)
    for (std::size_t to = from + 1; to < sent.size(); ++to) {
      const std::chrono::duration<double> span = sent[to].second - sent[from].second;
      // All behind the part at its beginning has been waited for.
      const double waited_for = sent[to].first - sent[from].first;
      EXPECT_GE(span.count() * kRate * 1.001 + (256 << 10), waited_for) << from << " to " << to;
    }
}

TEST(RateLimitTest, AClockThatGoesBackGivesNothing) {
  RateLimit limit(1000, 1);
  EXPECT_TRUE(limit.Take(1, kStart));
  EXPECT_FALSE(limit.Take(1, kStart - seconds(10)));
  EXPECT_FALSE(limit.Take(1, kStart));
}

}  // namespace
}  // namespace culprit
