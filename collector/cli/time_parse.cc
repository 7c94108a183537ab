// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/time_parse.h"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <ctime>
#include <optional>

#include "common/ascii.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

using std::chrono::days;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::string_view kHow =
    "write for instance \"2026-03-01T02:03:04Z\", \"2026-03-01 19:03 PDT\", \"2026-03-01 02:03 "
    "+05:30\", \"02:03Z\", "
    "\"10m ago\" or \"now\"";

// Takes tokens off the front; every Take leaves the text alone if it does not match.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool done() const { return rest_.empty(); }
  void SkipBlanks() { rest_ = TrimFront(rest_, " "); }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Exactly `digits` digits.
  std::optional<int> TakeNumber(std::size_t digits) {
    if (rest_.size() < digits) return std::nullopt;
    int value = 0;
    for (const char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  // Digits of a fraction, as nanoseconds.
  nanoseconds TakeFraction() {
    std::int64_t ns = 0;
    std::int64_t scale = 100'000'000;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      ns += (rest_.front() - '0') * scale;
      scale /= 10;
      rest_.remove_prefix(1);
    }
    return nanoseconds(ns);
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

std::optional<std::chrono::sys_days> TakeDate(Scanner& scanner) {
  Scanner attempt = scanner;
  const auto year = attempt.TakeNumber(4);
  if (!year || !attempt.Take('-')) return std::nullopt;
  const auto month = attempt.TakeNumber(2);
  if (!month || !attempt.Take('-')) return std::nullopt;
  const auto day = attempt.TakeNumber(2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day ymd{std::chrono::year(*year),
                                        std::chrono::month(static_cast<unsigned>(*month)),
                                        std::chrono::day(static_cast<unsigned>(*day))};
  // WallTime holds 1677 to 2262.
  if (!ymd.ok() || *year < 1970 || *year > 2200) return std::nullopt;
  scanner = attempt;
  return std::chrono::sys_days(ymd);
}

std::optional<nanoseconds> TakeTimeOfDay(Scanner& scanner) {
  Scanner attempt = scanner;
  const auto hour = attempt.TakeNumber(2);
  if (!hour || !attempt.Take(':')) return std::nullopt;
  const auto minute = attempt.TakeNumber(2);
  if (!minute) return std::nullopt;
  nanoseconds second(0);
  if (attempt.Take(':')) {
    const auto whole = attempt.TakeNumber(2);
    if (!whole || *whole > 60) return std::nullopt;  // 60: a leap second
    second = seconds(*whole);
    if (attempt.Take('.')) second += attempt.TakeFraction();
  }
  if (*hour > 23 || *minute > 59) return std::nullopt;
  scanner = attempt;
  return std::chrono::hours(*hour) + std::chrono::minutes(*minute) + second;
}

std::optional<seconds> ZoneByName(std::string_view name) {
  struct Named {
    std::string_view name;
    int hours;
  };
  static constexpr std::array kZones = {Named{"Z", 0},    Named{"UTC", 0},  Named{"GMT", 0},
                                        Named{"EST", -5}, Named{"EDT", -4}, Named{"CST", -6},
                                        Named{"CDT", -5}, Named{"MST", -7}, Named{"MDT", -6},
                                        Named{"PST", -8}, Named{"PDT", -7}};
  std::string upper(name);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  for (const Named& zone : kZones) {
    if (zone.name == upper) return std::chrono::hours(zone.hours);
  }
  return std::nullopt;
}

// "+05:30", "-0700", "PDT". Must take all that is left.
std::optional<seconds> ParseZone(std::string_view text) {
  if (const auto named = ZoneByName(text)) return named;
  Scanner scanner(text);
  const bool negative = scanner.Take('-');
  if (!negative && !scanner.Take('+')) return std::nullopt;
  const auto hours = scanner.TakeNumber(2);
  scanner.Take(':');
  const auto minutes = scanner.TakeNumber(2);
  if (!hours || !minutes || *hours > 14 || *minutes > 59 || !scanner.done()) return std::nullopt;
  const seconds offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return negative ? -offset : offset;
}

// Offset of the local zone, east of UTC, at a UTC time.
seconds LocalOffset(WallTime at) {
  const std::time_t t = std::chrono::floor<seconds>(at).time_since_epoch().count();
  std::tm tm{};
  if (localtime_r(&t, &tm) == nullptr) return seconds(0);
  return seconds(tm.tm_gmtoff);
}

// Reading of a local clock -> UTC; a reading that a change of summer time repeats means the first.
WallTime FromLocal(WallTime reading) {
  const WallTime guess = reading - LocalOffset(reading);
  return reading - LocalOffset(guess);
}

std::optional<WallTime> ParseAgo(std::string_view text, WallTime now) {
  constexpr std::string_view kAgo = "ago";
  if (text.ends_with(kAgo)) text.remove_suffix(kAgo.size());
  const auto span = ParseDuration(TrimBack(text, " "));
  if (!span || *span > now.time_since_epoch()) return std::nullopt;
  return now - *span;
}

struct Civil {
  int year;
  unsigned month, day;
  std::chrono::hh_mm_ss<nanoseconds> time;
};

Civil ToCivil(WallTime t) {
  const auto day = std::chrono::floor<days>(t);
  const std::chrono::year_month_day ymd(day);
  return {static_cast<int>(ymd.year()), static_cast<unsigned>(ymd.month()),
          static_cast<unsigned>(ymd.day()), std::chrono::hh_mm_ss<nanoseconds>(t - day)};
}

std::string FormatOffset(seconds offset) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(offset).count();
  const auto positive = minutes < 0 ? -minutes : minutes;
  return fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', positive / 60, positive % 60);
}

}  // namespace

Result<ParsedTime> ParseTime(std::string_view input, WallTime now, Zone zone) {
  const std::string_view text = Trim(input, " ");
  const Error error =
      InvalidArgument(fmt::format("\"{}\" is not a time: {}", EscapeText(input), kHow));
  if (text == "now") return ParsedTime{now, false};
  Scanner scanner(text);
  const auto date = TakeDate(scanner);
  if (date && !scanner.done() && !scanner.Take('T')) {
    if (!scanner.Take(' ')) return error;
  }
  scanner.SkipBlanks();
  const auto time_of_day = TakeTimeOfDay(scanner);
  if (!date && !time_of_day) {
    const auto ago = ParseAgo(text, now);
    if (!ago) return error;
    return ParsedTime{*ago, false};
  }
  scanner.SkipBlanks();
  std::optional<seconds> offset;
  if (!scanner.done()) {
    offset = ParseZone(scanner.rest());
    if (!offset) return error;
  }
  const auto to_utc = [&](WallTime reading) {
    if (offset) return reading - *offset;
    return zone == Zone::kUtc ? reading : FromLocal(reading);
  };
  const nanoseconds clock = time_of_day.value_or(nanoseconds(0));
  if (date) return ParsedTime{to_utc(WallTime(*date) + clock), !offset};
  // A time of day alone: the latest one that has been. Tomorrow's date covers zones east of UTC.
  const auto today = std::chrono::floor<days>(now);
  for (int back = -1; back <= 1; ++back) {
    const WallTime candidate = to_utc(WallTime(today - days(back)) + clock);
    if (candidate <= now) return ParsedTime{candidate, !offset};
  }
  return ParsedTime{to_utc(WallTime(today - days(2)) + clock), !offset};
}

std::string FormatTime(std::int64_t ns, Zone zone) {
  if (ns == 0) return "-";
  const WallTime utc = WallTimeFromNs(ns);
  const Civil civil = ToCivil(zone == Zone::kUtc ? utc : utc + LocalOffset(utc));
  return fmt::format("{:04}-{:02}-{:02} {}", civil.year, civil.month, civil.day,
                     FormatClock(ns, zone));
}

std::string FormatClock(std::int64_t ns, Zone zone) {
  if (ns == 0) return "-";
  const WallTime utc = WallTimeFromNs(ns);
  const seconds offset = zone == Zone::kUtc ? seconds(0) : LocalOffset(utc);
  const Civil civil = ToCivil(utc + offset);
  return fmt::format("{:02}:{:02}:{:02}{}", civil.time.hours().count(),
                     civil.time.minutes().count(), civil.time.seconds().count(),
                     zone == Zone::kUtc ? "Z" : FormatOffset(offset));
}

}  // namespace culprit::cli
