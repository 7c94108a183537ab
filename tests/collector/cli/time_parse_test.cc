// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/time_parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace culprit::cli {
namespace {

// 2026-03-01T12:30:00Z
constexpr std::int64_t kNow = 1'772'368'200'000'000'000;

std::string Parse(std::string_view text, Zone zone = Zone::kUtc) {
  const auto parsed = ParseTime(text, WallTimeFromNs(kNow), zone);
  if (!parsed) return "error";
  return FormatRfc3339(ToNs(parsed->time)) + (parsed->zone_assumed ? " assumed" : "");
}

class ParisZone : public testing::Test {
 protected:
  void SetUp() override {
    // A POSIX rule, so that the test needs no zone files: UTC+1, summer time by the European rule.
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
  }
  void TearDown() override {
    unsetenv("TZ");
    tzset();
  }
};

TEST(ParseTimeTest, ReadsWhatPeopleWrite) {
  const std::pair<const char*, const char*> cases[] = {
      {"now", "2026-03-01T12:30:00Z"},
      {"2026-03-01T02:03:04Z", "2026-03-01T02:03:04Z"},
      {"2026-03-01 02:03:04Z", "2026-03-01T02:03:04Z"},
      {"2026-03-01 02:03:04 UTC", "2026-03-01T02:03:04Z"},
      {" 2026-03-01T02:03:04.5z ", "2026-03-01T02:03:04.500000000Z"},
      {"2026-03-01T02:03:04+05:30", "2026-02-28T20:33:04Z"},
      {"2026-03-01 02:03 +0530", "2026-02-28T20:33:00Z"},
      {"2026-03-01 19:03 PDT", "2026-03-02T02:03:00Z"},
      {"2026-02-28 18:03:04 pst", "2026-03-01T02:03:04Z"},
      {"2026-03-01T02:03:04", "2026-03-01T02:03:04Z assumed"},
      {"2026-03-01", "2026-03-01T00:00:00Z assumed"},
      {"02:03Z", "2026-03-01T02:03:00Z"},
      {"02:03", "2026-03-01T02:03:00Z assumed"},
      {"12:30Z", "2026-03-01T12:30:00Z"},
      {"12:31Z", "2026-02-28T12:31:00Z"},
      {"23:59:59 UTC", "2026-02-28T23:59:59Z"},
      {"00:30 +05:30", "2026-02-28T19:00:00Z"},
      {"20:00 PST", "2026-03-01T04:00:00Z"},
      {"10m ago", "2026-03-01T12:20:00Z"},
      {"10m", "2026-03-01T12:20:00Z"},
      {"1 day ago", "2026-02-28T12:30:00Z"},
      {"2024-02-29", "2024-02-29T00:00:00Z assumed"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Parse(text), expected) << text;
}

TEST(ParseTimeTest, RefusesWhatItWouldHaveToGuess) {
  for (const char* text :
       {"", "yesterday", "2026-02-29", "2026-13-01", "2026-03-01T25:00Z", "2026-03-01T02:60Z",
        "2026-03-01 02:03 IST", "2026-03-01T02:03:04Z tail", "03/01/2026", "1772323384",
        "2026-03-01T02:03:04+99:00", "9999-01-01", "1h30", "-10m", "99999w ago"}) {
    EXPECT_EQ(Parse(text), "error") << text;
  }
}

TEST(ParseTimeTest, ErrorSaysHowToWriteIt) {
  const auto parsed = ParseTime("soon\x1b[2J", WallTimeFromNs(kNow), Zone::kUtc);
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, testing::AllOf(testing::HasSubstr("\"soon\\x1b[2J\""),
                                                     testing::HasSubstr("2026-03-01T02:03:04Z"),
                                                     testing::HasSubstr("10m ago")));
}

TEST_F(ParisZone, TimesWithoutAZoneFollowTheLocalClock) {
  EXPECT_EQ(Parse("2026-03-01 02:03", Zone::kLocal), "2026-03-01T01:03:00Z assumed");
  EXPECT_EQ(Parse("2026-07-01 02:03", Zone::kLocal), "2026-07-01T00:03:00Z assumed");
  EXPECT_EQ(Parse("2026-07-01 02:03Z", Zone::kLocal), "2026-07-01T02:03:00Z");
  EXPECT_EQ(Parse("13:30", Zone::kLocal), "2026-03-01T12:30:00Z assumed");
  EXPECT_EQ(Parse("13:31", Zone::kLocal), "2026-02-28T12:31:00Z assumed");
}

TEST_F(ParisZone, EveryFormattedTimeShowsItsZone) {
  EXPECT_EQ(FormatTime(kNow, Zone::kUtc), "2026-03-01 12:30:00Z");
  EXPECT_EQ(FormatTime(kNow, Zone::kLocal), "2026-03-01 13:30:00+01:00");
  EXPECT_EQ(FormatClock(kNow, Zone::kLocal), "13:30:00+01:00");
  EXPECT_EQ(FormatTime(0, Zone::kUtc), "-");
}

TEST_F(ParisZone, FormattedTimesReadBackAsThemselves) {
  for (const Zone zone : {Zone::kUtc, Zone::kLocal}) {
    const auto parsed = ParseTime(FormatTime(kNow, zone), WallTimeFromNs(kNow), Zone::kUtc);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(ToNs(parsed->time), kNow);
  }
}

TEST(FormatRfc3339Test, KeepsNanosecondsAndTimesBefore1970) {
  EXPECT_EQ(FormatRfc3339(1'772'368'200'000'000'001), "2026-03-01T12:30:00.000000001Z");
  EXPECT_EQ(FormatRfc3339(-1), "1969-12-31T23:59:59.999999999Z");
}

}  // namespace
}  // namespace culprit::cli
