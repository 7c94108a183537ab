// SPDX-License-Identifier: Apache-2.0
#include "agent/canary.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

namespace culprit {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t kOwn = 4711;

class CanaryTest : public testing::Test {
 protected:
  static BootTime At(int second) { return BootTimeFromNs(0) + seconds(100 + second); }
  void Tick(int second, std::uint64_t lost = 0) { canary_.Tick(At(second), lost); }
  // What the kernel tells of the newest connection.
  FlowEvent Seen(std::uint32_t pid = kOwn) const {
    FlowEvent flow;
    flow.owner.tgid = Tgid(pid);
    flow.protocol = IPPROTO_TCP;
    flow.remote = {*IpAddress::Parse("127.0.0.1"), port_};
    return flow;
  }

  std::uint16_t port_ = 40'000;
  bool works_ = true;
  Canary canary_{kOwn, seconds(60), [this]() -> Result<std::uint16_t> {
                   if (!works_) return Unavailable("the interface is down");
                   return ++port_;
                 }};
};

TEST_F(CanaryTest, WhatIsSeenEachTimeIsNeverBlind) {
  for (int second = 0; second < 600; second += 2) {
    Tick(second);
    if (second % 60 == 0) canary_.On(Seen());
    ASSERT_FALSE(canary_.blind()) << second;
  }
  EXPECT_EQ(canary_.made(), 10U);
  EXPECT_EQ(canary_.seen(), 10U);
}

TEST_F(CanaryTest, TwoInARowThatAreNotSeenAreBlindUntilOneIs) {
  Tick(0);
  Tick(4);
  Tick(6);  // the first is given up, the second made
  EXPECT_FALSE(canary_.blind());
  EXPECT_EQ(canary_.made(), 2U);
  Tick(12);
  EXPECT_TRUE(canary_.blind());
  EXPECT_NE(canary_.note(), "");
  canary_.On(Seen());
  EXPECT_FALSE(canary_.blind());
}

TEST_F(CanaryTest, AnothersConnectionAndAnOldOneAreNotIt) {
  Tick(0);
  canary_.On(Seen(kOwn + 1));
  FlowEvent other = Seen();
  other.remote.port = 40'000;
  canary_.On(other);
  other = Seen();
  other.remote.address = *IpAddress::Parse("192.0.2.1");
  canary_.On(other);
  EXPECT_EQ(canary_.seen(), 0U);
  canary_.On(Seen());
  canary_.On(Seen());  // each is told more than once
  EXPECT_EQ(canary_.seen(), 1U);
}

TEST_F(CanaryTest, WhereRecordsWereLostNothingIsSaid) {
  for (int second = 0, lost = 0; second < 600; second += 6)
    Tick(second, static_cast<std::uint64_t>(++lost));
  EXPECT_FALSE(canary_.blind());
}

TEST_F(CanaryTest, AConnectionThatCannotBeMadeIsNoBlindness) {
  works_ = false;
  for (int second = 0; second < 600; second += 2) Tick(second);
  EXPECT_FALSE(canary_.blind());
  EXPECT_EQ(canary_.made(), 0U);
  EXPECT_NE(canary_.note(), "");
  works_ = true;
  Tick(601);
  EXPECT_EQ(canary_.note(), "");
}

TEST_F(CanaryTest, SwitchedOffItConnectsToNobodyAndForgets) {
  Tick(0);
  Tick(6);
  Tick(12);
  ASSERT_TRUE(canary_.blind());
  canary_.SetInterval(seconds(0));
  EXPECT_FALSE(canary_.blind());
  const std::uint64_t made = canary_.made();
  Tick(100);
  EXPECT_EQ(canary_.made(), made);
  canary_.SetInterval(seconds(60));
  Tick(101);
  EXPECT_EQ(canary_.made(), made + 1);
}

TEST(CanaryProbeTest, ConnectsOverLoopbackEachTimeToAnotherListener) {
  const auto port = ConnectToOneself();
  ASSERT_TRUE(port) << port.error().message;
  EXPECT_NE(*port, 0);
}

}  // namespace
}  // namespace culprit
