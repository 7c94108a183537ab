// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/baseline.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

constexpr auto kHour = std::chrono::hours(1);
const WallTime kStart = WallTimeFromNs(1'770'000'000LL * 1'000'000'000);
const Uuid kHost = Uuid::Random(), kSibling = Uuid::Random();

WallTime Hours(int n) { return kStart + n * kHour; }

class BaselineTest : public ::testing::Test {
 protected:
  Familiarity Region(const Uuid& host, const std::string& name, int hour) const {
    return baseline_.Judge(host, SeenKind::kRegion, name, Hours(hour));
  }
  Baseline baseline_{BaselineThresholds{}};
};

TEST_F(BaselineTest, AHostThatIsYoungAndAloneIsNotJudged) {
  baseline_.NoteHost(kHost, "ami-1", Hours(0));
  baseline_.Note(kHost, SeenKind::kRegion, "me-south-1", Hours(1));
  EXPECT_EQ(Region(kHost, "me-south-1", 23), Familiarity::kNotJudged);
  EXPECT_EQ(Region(kSibling, "me-south-1", 23), Familiarity::kNotJudged);  // nobody knows it
}

TEST_F(BaselineTest, WhatAGrownHostDoesForTheFirstTimeIsNewForADayAndKnownAfterAWeek) {
  baseline_.NoteHost(kHost, "", Hours(0));
  EXPECT_EQ(Region(kHost, "me-south-1", 24), Familiarity::kNew);
  baseline_.Note(kHost, SeenKind::kRegion, "me-south-1", Hours(30));
  EXPECT_EQ(Region(kHost, "me-south-1", 30), Familiarity::kNew);
  EXPECT_EQ(Region(kHost, "me-south-1", 53), Familiarity::kNew);
  EXPECT_EQ(Region(kHost, "me-south-1", 54), Familiarity::kSeen);
  EXPECT_EQ(Region(kHost, "me-south-1", 30 + 167), Familiarity::kSeen);
  EXPECT_EQ(Region(kHost, "me-south-1", 30 + 168), Familiarity::kKnown);
  EXPECT_EQ(Region(kHost, "eu-west-1", 30 + 168), Familiarity::kNew);
}

TEST_F(BaselineTest, AYoungHostIsJudgedByGrownHostsOfItsImage) {
  baseline_.NoteHost(kSibling, "ami-1", Hours(-100));
  baseline_.Note(kSibling, SeenKind::kRegion, "eu-west-1", Hours(-90));
  baseline_.NoteHost(kHost, "ami-1", Hours(0));
  EXPECT_EQ(Region(kHost, "eu-west-1", 1), Familiarity::kSeen);
  EXPECT_EQ(Region(kHost, "me-south-1", 1), Familiarity::kNew);
  const Uuid stranger = Uuid::Random();
  baseline_.NoteHost(stranger, "ami-2", Hours(0));
  EXPECT_EQ(Region(stranger, "eu-west-1", 1), Familiarity::kNotJudged);
}

TEST_F(BaselineTest, ASiblingThatIsYoungItselfSaysNothing) {
  baseline_.NoteHost(kSibling, "ami-1", Hours(-2));
  baseline_.NoteHost(kHost, "ami-1", Hours(0));
  EXPECT_EQ(Region(kHost, "me-south-1", 1), Familiarity::kNotJudged);
}

TEST_F(BaselineTest, IsTheSameAfterItWasStoredAndLoaded) {
  baseline_.NoteHost(kSibling, "ami-1", Hours(-100));
  baseline_.Note(kSibling, SeenKind::kRegion, "eu-west-1", Hours(-90));
  baseline_.NoteHost(kHost, "ami-1", Hours(0));
  baseline_.Note(kHost, SeenKind::kProgram, "/usr/bin/a", Hours(1));
  Baseline loaded{BaselineThresholds{}};
  loaded.Load(baseline_.TakeChanges());
  EXPECT_TRUE(baseline_.TakeChanges().empty());
  for (const int hour : {1, 20, 30, 180}) {
    for (const char* region : {"eu-west-1", "me-south-1"}) {
      EXPECT_EQ(loaded.Judge(kHost, SeenKind::kRegion, region, Hours(hour)),
                Region(kHost, region, hour));
    }
    EXPECT_EQ(loaded.Judge(kHost, SeenKind::kProgram, "/usr/bin/a", Hours(hour)),
              baseline_.Judge(kHost, SeenKind::kProgram, "/usr/bin/a", Hours(hour)));
  }
}

TEST_F(BaselineTest, TellsAnHourAgainAndNotEachTime) {
  baseline_.NoteHost(kHost, "", Hours(0));
  for (int i = 0; i < 100; ++i) {
    baseline_.Note(kHost, SeenKind::kRegion, "a", Hours(0) + i * std::chrono::seconds(30));
    baseline_.NoteHost(kHost, "", Hours(0) + i * std::chrono::seconds(30));
  }
  EXPECT_EQ(baseline_.TakeChanges().size(), 2U);
  baseline_.Note(kHost, SeenKind::kRegion, "a", Hours(2));
  EXPECT_EQ(baseline_.TakeChanges().size(), 1U);
}

// Evidence is read again after a restart.
TEST_F(BaselineTest, OldEvidenceThatComesAgainMakesNothingNewer) {
  baseline_.NoteHost(kHost, "", Hours(0));
  baseline_.Note(kHost, SeenKind::kRegion, "a", Hours(30));
  baseline_.Note(kHost, SeenKind::kRegion, "a", Hours(10));
  EXPECT_EQ(Region(kHost, "a", 34), Familiarity::kSeen);
}

TEST_F(BaselineTest, OfTooManyThoseThatWereNotSeenForLongestGo) {
  baseline_.NoteHost(kHost, "", Hours(0));
  for (int i = 0; i < 3000; ++i) {
    baseline_.Note(kHost, SeenKind::kDestination, std::to_string(i),
                   Hours(0) + i * std::chrono::seconds(1));
  }
  EXPECT_FALSE(baseline_.FirstSeen(kHost, SeenKind::kDestination, "0"));
  EXPECT_TRUE(baseline_.FirstSeen(kHost, SeenKind::kDestination, "2999"));
  std::size_t there = 0, gone = 0;
  for (const SeenRow& row : baseline_.TakeChanges()) ++(row.gone ? gone : there);
  EXPECT_LE(there - 1 - gone, 1024U);
}

}  // namespace
}  // namespace culprit
