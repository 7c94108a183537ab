// SPDX-License-Identifier: Apache-2.0
// What a written time may mean.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>

#include "collector/answer/time_scan.h"

namespace culprit {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kMaxReadings = 200;
// The clocks of the host and of the collector may be ahead of the report's.
constexpr std::chrono::hours kAhead{26};
constexpr std::int32_t kYearsBack = 2;

// In the points of match.h.
constexpr double kOtherDateOrder = 1, kSlippedHour = 1.5, kAssumedUtc = 0.5, kAssumedPacific = 1,
                 kAssumedOther = 2.5, kAssumedHalf = 3, kOtherMeaning = 1, kOlderYear = 2,
                 kOtherZoneThanWritten = 4;

struct Date {
  std::chrono::year_month_day day;
  double doubt = 0;
  std::string why;
};

struct Offset {
  std::int32_t minutes = 0;
  double doubt = 0;
  std::string why;
};

std::string ZoneText(std::int32_t east) {
  const std::int32_t size = east < 0 ? -east : east;
  return fmt::format("UTC{}{:02}:{:02}", east < 0 ? '-' : '+', size / 60, size % 60);
}

std::chrono::year_month_day Day(std::int32_t year, std::int32_t month, std::int32_t day) {
  return std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)) /
         std::chrono::day(static_cast<unsigned>(day));
}

void AddDates(std::int32_t year, std::int32_t month, std::int32_t day, double doubt,
              const std::string& why, const ReadingContext& context, std::vector<Date>* out) {
  if (year != 0) {
    out->push_back({Day(year, month, day), doubt, why});
    return;
  }
  const auto today =
      std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(context.now));
  double older = 0;
  for (std::int32_t back = 0; back <= kYearsBack; ++back) {
    const auto guess = Day(static_cast<int>(today.year()) - back, month, day);
    if (!guess.ok() || std::chrono::sys_days(guess) > context.now + kAhead) continue;
    out->push_back({guess, doubt + older,
                    why + fmt::format("year taken as {}; ", static_cast<int>(guess.year()))});
    older += kOlderYear;
  }
}

std::vector<Date> DatesOf(const WrittenTime& written, const ReadingContext& context) {
  std::vector<Date> out;
  if (written.month != 0) {
    AddDates(written.year, written.month, written.day, 0, "", context, &out);
    return out;
  }
  const bool both = written.first <= 12 && written.second <= 12 && written.first != written.second;
  if (written.first <= 12) {
    AddDates(written.year, written.first, written.second, 0, both ? "month first; " : "", context,
             &out);
  }
  if (written.second <= 12 && written.first != written.second) {
    AddDates(written.year, written.second, written.first, both ? kOtherDateOrder : 0,
             both ? "day first; " : "", context, &out);
  }
  return out;
}

void AddAssumed(double base, const std::string& before, std::vector<Offset>* out) {
  out->push_back({0, base + kAssumedUtc, before + "read as UTC"});
  for (std::int32_t east = -12 * 60; east <= 14 * 60; east += 30) {
    if (east == 0) continue;
    // AWS writes US Pacific time.
    const bool pacific = east == -7 * 60 || east == -8 * 60;
    const bool half = east % 60 != 0;
    const double doubt = pacific ? kAssumedPacific : half ? kAssumedHalf : kAssumedOther;
    out->push_back({east, base + doubt, before + "read as " + ZoneText(east)});
  }
  // Nepal and the Chatham Islands are not whole halves.
  out->push_back({5 * 60 + 45, base + kAssumedHalf, before + "read as " + ZoneText(345)});
}

std::vector<Offset> OffsetsOf(const WrittenTime& written, const ReadingContext& context) {
  std::vector<Offset> out;
  const bool own = written.zone.known();
  const ZoneName& zone = own ? written.zone : context.default_zone;
  if (!zone.known()) {
    AddAssumed(0, "no zone is given: ", &out);
    return out;
  }
  double doubt = 0;
  for (const std::int32_t east : zone.minutes) {
    out.push_back({east, doubt, own ? "as written" : "in the zone of the report"});
    doubt += kOtherMeaning;
  }
  const bool named = !zone.name.empty() && zone.name[0] >= 'A' && zone.minutes[0] != 0;
  if (named) {  // PST is written all year round
    for (const std::int32_t slip : {60, -60}) {
      out.push_back({zone.minutes[0] + slip, kSlippedHour,
                     fmt::format("{} an hour off, as where summer time is overlooked", zone.name)});
    }
  }
  AddAssumed(kOtherZoneThanWritten, fmt::format("{} as given does not fit: ", zone.name), &out);
  return out;
}

void Add(WallTime from, std::chrono::nanoseconds width, double doubt, std::string why,
         const ReadingContext& context, std::vector<Reading>* out) {
  if (from > context.now + kAhead) return;
  out->push_back({from, from + width, doubt, std::move(why)});
}

void AddReadings(const WrittenTime& clock, const WrittenTime& date, double doubt,
                 const ReadingContext& context, std::vector<Reading>* out) {
  const std::chrono::nanoseconds width = !clock.has_clock    ? std::chrono::hours(24)
                                         : clock.has_seconds ? seconds(1)
                                                             : minutes(1);
  const std::vector<Offset> offsets = OffsetsOf(clock, context);
  for (const Date& day : DatesOf(date, context)) {
    if (!day.day.ok()) continue;
    for (const Offset& offset : offsets) {
      const WallTime from =
          std::chrono::sys_days(day.day) + seconds(clock.seconds) - minutes(offset.minutes);
      Add(from, width, doubt + day.doubt + offset.doubt, day.why + offset.why, context, out);
    }
  }
}

}  // namespace

std::vector<Reading> ReadingsOf(const WrittenTime& written, const ReadingContext& context) {
  std::vector<Reading> out;
  if (written.epoch_ns) {
    Add(WallTimeFromNs(*written.epoch_ns), seconds(1), 0, "seconds since 1970", context, &out);
  } else if (written.has_date) {
    AddReadings(written, written, 0, context, &out);
  } else {
    for (const WrittenTime& date : context.dates) {
      if (out.size() > kMaxReadings) break;
      if (date.has_date && !date.epoch_ns) AddReadings(written, date, 0, context, &out);
    }
  }
  std::ranges::stable_sort(out, {}, &Reading::doubt);
  if (out.size() > kMaxReadings) out.resize(kMaxReadings);
  return out;
}

}  // namespace culprit
