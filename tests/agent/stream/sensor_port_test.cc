// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/sensor_port.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

using std::chrono::milliseconds;

TEST(SensorPort, APauseAsksAgainAtEachWakeAndEndsWhereItIsOver) {
  SensorPort port{UniqueFd()};
  int asked = 0;
  port.Wake();
  port.Pause(std::chrono::hours(1), [&] {
    port.Wake();
    return ++asked == 3;
  });
  EXPECT_EQ(asked, 3);
}

TEST(SensorPort, APauseIsOverWithItsTime) {
  SensorPort port{UniqueFd()};
  const auto begin = SensorPort::Clock::now();
  port.Pause(milliseconds(20), [] { return false; });
  EXPECT_GE(SensorPort::Clock::now() - begin, milliseconds(20));
  port.Pause(milliseconds(0), [] { return true; });
}

}  // namespace
}  // namespace culprit
