// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/time_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::HasSubstr;

// 2026-03-05T12:00:00Z
constexpr std::int64_t kNow = 1'772'712'000'000'000'000;

ReadingContext Context() { return {WallTimeFromNs(kNow), {}, {}}; }

std::vector<Reading> Readings(const std::string& text, ReadingContext context = Context()) {
  const auto times = ScanTimes(text);
  EXPECT_EQ(times.size(), 1U) << text;
  return times.empty() ? std::vector<Reading>() : ReadingsOf(times[0], context);
}

std::string First(const std::string& text) {
  const auto readings = Readings(text);
  return readings.empty() ? "none" : FormatUtc(readings[0].from).substr(0, 19);
}

TEST(ScanTimesTest, FormsThatReportsAreWrittenIn) {
  const std::pair<const char*, const char*> cases[] = {
      {"2026-03-01T02:03:04Z", "2026-03-01T02:03:04"},
      {"2026-03-01T02:03:04.567+05:30", "2026-02-28T20:33:04"},
      {"2026-03-01 02:03:04 PST", "2026-03-01T10:03:04"},
      {"2026-03-01 02:03 PDT", "2026-03-01T09:03:00"},
      {"2026/03/01 02:03:04 UTC", "2026-03-01T02:03:04"},
      {"2026.03.01 02:03:04 GMT", "2026-03-01T02:03:04"},
      {"2026-03-01_02:03:04 (UTC)", "2026-03-01T02:03:04"},
      {"20260301T020304Z", "2026-03-01T02:03:04"},
      {"[01/Mar/2026:02:03:04 -0700]", "2026-03-01T09:03:04"},
      {"1-Mar-2026 02:03:04 UTC", "2026-03-01T02:03:04"},
      {"Sun, 01 Mar 2026 02:03:04 GMT", "2026-03-01T02:03:04"},
      {"Sun Mar  1 02:03:04 2026 UTC", "2026-03-01T02:03:04"},
      {"Sun Mar  1 02:03:04 UTC 2026", "2026-03-01T02:03:04"},
      {"March 1st, 2026 at 7:03 PM PST", "2026-03-02T03:03:00"},
      {"1 March 2026, 12:05 am UTC", "2026-03-01T00:05:00"},
      {"03/13/2026 02:03:04 UTC", "none"},  // is to come
      {"02/13/2026 02:03:04 UTC", "2026-02-13T02:03:04"},
      {"13/02/2026 02:03:04 UTC", "2026-02-13T02:03:04"},
      {"13.02.2026 02:03:04 UTC", "2026-02-13T02:03:04"},
      {"1.3.2026 02:03 CET", "2026-03-01T01:03:00"},
      {"02/13/26 02:03 UTC", "2026-02-13T02:03:00"},
      {"1772330584", "2026-03-01T02:03:04"},
      {"1772330584.123", "2026-03-01T02:03:04"},
      {"1772330584123", "2026-03-01T02:03:04"},
      {"1772330584123456", "2026-03-01T02:03:04"},
      {"Mar  1 02:03:04 web sshd", "2026-03-01T02:03:04"},
      {"Jul 13 14:19:18 web sshd", "2025-07-13T14:19:18"},  // of the year before
      {"2026-03-01 02:03:04 UTC-7", "2026-03-01T09:03:04"},
      {"2026-03-01 02:03:04 GMT+0200", "2026-03-01T00:03:04"},
  };
  for (const auto& [text, time] : cases) EXPECT_EQ(First(text), time) << text;
}

TEST(ScanTimesTest, WhatIsNoTimeIsPassedOver) {
  for (const char* text :
       {"192.0.2.10", "10.1.20.5", "2001:db8::12:30", "port 22 may be open", "on the 5 march",
        "555-1234567890", "sshd[31826]", "version 1.2.3", "i-0123456789abcdef0", "99:99:99",
        "2026-13-01", "2026-03-45", "02:42:ac:11:00:02", "123456789012", "9999999999999999999",
        "99999999999999999999"}) {
    for (const WrittenTime& time : ScanTimes(text)) ADD_FAILURE() << text << ": " << time.text;
  }
}

TEST(ReadingsTest, WithoutAZoneUtcComesFirstThenPacificThenEveryOther) {
  const auto readings = Readings("2026-03-01 02:03:04");
  ASSERT_GE(readings.size(), 50U);
  EXPECT_EQ(FormatUtc(readings[0].from), "2026-03-01T02:03:04.000Z");
  EXPECT_THAT(readings[1].why, HasSubstr("UTC-08:00"));
  EXPECT_THAT(readings[2].why, HasSubstr("UTC-07:00"));
  WallTime earliest = readings[0].from, latest = readings[0].from;
  for (const Reading& reading : readings) {
    earliest = std::min(earliest, reading.from);
    latest = std::max(latest, reading.from);
  }
  EXPECT_EQ(FormatUtc(earliest), "2026-02-28T12:03:04.000Z");  // UTC+14
  EXPECT_EQ(FormatUtc(latest), "2026-03-01T14:03:04.000Z");    // UTC-12
}

TEST(ReadingsTest, BothOrdersOfADateAreReadTheAmericanFirst) {
  const auto readings = Readings("01/02/2026 10:00 UTC");
  EXPECT_EQ(FormatUtc(readings[0].from), "2026-01-02T10:00:00.000Z");
  EXPECT_TRUE(std::ranges::any_of(readings, [](const Reading& reading) {
    return FormatUtc(reading.from) == "2026-02-01T10:00:00.000Z" && reading.doubt == 1;
  }));
}

TEST(ReadingsTest, AWrittenZoneIsBelievedBeforeAnyOther) {
  const auto readings = Readings("2026-03-01 02:03:04 IST");
  EXPECT_EQ(FormatUtc(readings[0].from), "2026-02-28T20:33:04.000Z");  // India
  EXPECT_EQ(FormatUtc(readings[1].from), "2026-03-01T01:03:04.000Z");  // Ireland
  EXPECT_GT(readings.back().doubt, 3);
}

TEST(ReadingsTest, TheZoneOfTheReportHoldsForTimesWithout) {
  ReadingContext context = Context();
  std::size_t used = 0;
  context.default_zone = ScanZone("PDT", &used);
  const auto readings = Readings("2026-03-01 02:03:04", context);
  EXPECT_EQ(FormatUtc(readings[0].from), "2026-03-01T09:03:04.000Z");
}

TEST(ReadingsTest, ATimeAloneTakesTheDatesOfTheReport) {
  ReadingContext context = Context();
  context.dates = ScanTimes("on 2026-02-27, and");
  const auto readings = Readings("at 02:03 UTC", context);
  ASSERT_FALSE(readings.empty());
  EXPECT_EQ(FormatUtc(readings[0].from), "2026-02-27T02:03:00.000Z");
  EXPECT_EQ(readings[0].to - readings[0].from, std::chrono::minutes(1));
}

TEST(ReadingsTest, ADateAloneIsADay) {
  const auto readings = Readings("2026-02-27");
  EXPECT_EQ(readings[0].to - readings[0].from, std::chrono::hours(24));
}

TEST(ReadingsTest, The29thOfFebruaryIsOfALeapYear) {
  EXPECT_EQ(First("Feb 29 10:00:00 host"), "2024-02-29T10:00:00");
}

}  // namespace
}  // namespace culprit
