// SPDX-License-Identifier: Apache-2.0
#include "agent/login/syslog_header.h"

#include <algorithm>
#include <array>

#include "agent/login/text_cursor.h"

namespace culprit {
namespace {

using std::chrono::seconds;
using std::chrono::year_month_day;

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// "HH:MM:SS", or a leap second.
bool Clock(std::string_view text, seconds* out) {
  unsigned h = 0, m = 0, s = 0;
  if (text.size() != 8 || text[2] != ':' || text[5] != ':' || !ToNumber(text.substr(0, 2), &h) ||
      !ToNumber(text.substr(3, 2), &m) || !ToNumber(text.substr(6, 2), &s) || h > 23 || m > 59 ||
      s > 60) {
    return false;
  }
  *out = seconds(h * 3600 + m * 60 + s);
  return true;
}

std::optional<WallTime> At(const year_month_day& day, seconds clock, seconds utc_offset) {
  if (!day.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(day) + clock - utc_offset);
}

// The year is the one that puts the line nearest to now, and not more than a day ahead of it.
std::optional<WallTime> WithoutYear(unsigned month, unsigned day, seconds time,
                                    const AuthLogClock& clock) {
  const year_month_day today(std::chrono::floor<std::chrono::days>(clock.now + clock.utc_offset));
  for (const int back : {-1, 0, 1, 2, 3, 4}) {  // four: 29 February
    const year_month_day date(today.year() - std::chrono::years(back), std::chrono::month(month),
                              std::chrono::day(day));
    const auto at = At(date, time, clock.utc_offset);
    if (at && *at <= clock.now + std::chrono::hours(24)) return at;
  }
  return std::nullopt;
}

// "Nov  6 01:02:03 ", blanks behind it included.
bool Traditional(std::string_view* text, const AuthLogClock& clock, std::optional<WallTime>* at) {
  std::string_view rest = *text;
  unsigned month = 0;
  while (month < kMonths.size() && !rest.starts_with(kMonths[month])) ++month;
  if (month == kMonths.size()) return false;
  rest.remove_prefix(3);
  if (!Eat(&rest, " ")) return false;
  Eat(&rest, " ");
  unsigned day = 0;
  seconds time{};
  if (!ToNumber(Word(&rest), &day) || day < 1 || day > 31) return false;
  std::string_view clock_text = Word(&rest);
  if (const std::size_t dot = clock_text.find('.'); dot != std::string_view::npos) {
    clock_text = clock_text.substr(0, dot);  // journalctl -o short-precise
  }
  if (!Clock(clock_text, &time)) return false;
  *at = WithoutYear(month + 1, day, time, clock);
  *text = rest;
  return true;
}

bool Fraction(std::string_view* text, std::chrono::nanoseconds* out) {
  if (!Eat(text, ".")) return true;
  std::int64_t ns = 0, unit = 100'000'000;
  std::size_t digits = 0;
  for (; digits < text->size() && IsDigit((*text)[digits]); ++digits, unit /= 10) {
    ns += ((*text)[digits] - '0') * unit;
  }
  text->remove_prefix(digits);
  *out = std::chrono::nanoseconds(ns);
  return digits > 0;
}

// "Z", "+05:30", "+0530", or nothing: local time.
bool Offset(std::string_view text, seconds* out) {
  if (text.empty() || text == "Z") {
    if (!text.empty()) *out = seconds(0);
    return true;
  }
  const bool west = text.front() == '-';
  if (!west && text.front() != '+') return false;
  text.remove_prefix(1);
  unsigned hours = 0, minutes = 0;
  const std::size_t minutes_at = text.size() == 5 && text[2] == ':' ? 3 : 2;
  if (text.size() != minutes_at + 2 || !ToNumber(text.substr(0, 2), &hours) ||
      !ToNumber(text.substr(minutes_at), &minutes) || hours > 23 || minutes > 59) {
    return false;
  }
  const seconds span(hours * 3600 + minutes * 60);
  *out = west ? -span : span;
  return true;
}

// RFC 3339, and with a blank instead of the T.
bool Rfc3339(std::string_view* text, const AuthLogClock& clock, std::optional<WallTime>* at) {
  std::string_view rest = *text;
  int year = 0;
  unsigned month = 0, day = 0;
  if (rest.size() < 19 || rest[4] != '-' || rest[7] != '-' ||
      (rest[10] != 'T' && rest[10] != ' ') || !ToNumber(rest.substr(0, 4), &year) ||
      !ToNumber(rest.substr(5, 2), &month) || !ToNumber(rest.substr(8, 2), &day)) {
    return false;
  }
  seconds time{}, offset = clock.utc_offset;
  std::chrono::nanoseconds fraction{};
  if (year < 1970 || year > 2200) return false;  // what a WallTime holds
  if (!Clock(rest.substr(11, 8), &time)) return false;
  rest.remove_prefix(19);
  std::string_view zone = Word(&rest);
  if (!Fraction(&zone, &fraction) || !Offset(zone, &offset)) return false;
  *at =
      At(year_month_day(std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)),
         time, offset);
  if (*at) **at += fraction;
  *text = rest;
  return at->has_value();
}

// "sshd[123]:" or "sshd:".
bool Tag(std::string_view word, SyslogHeader* out) {
  if (!EatEnd(&word, ":") || word.empty()) return false;
  if (word.ends_with(']')) {
    const std::size_t open = word.rfind('[');
    if (open == std::string_view::npos || open == 0 ||
        !ToNumber(word.substr(open + 1, word.size() - open - 2), &out->pid)) {
      return false;
    }
    word = word.substr(0, open);
  }
  out->program = word;
  return true;
}

// What follows the version of RFC 5424: time host program pid msgid structured-data message.
bool Rfc5424(std::string_view rest, const AuthLogClock& clock, SyslogHeader* out) {
  if (!Eat(&rest, "- ") && !Rfc3339(&rest, clock, &out->at)) return false;
  Word(&rest);
  out->program = Word(&rest);
  const std::string_view pid = Word(&rest);
  if (pid != "-" && !ToNumber(pid, &out->pid)) return false;
  Word(&rest);
  while (rest.starts_with('[')) {  // elements of structured data, with \" and \] inside
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != ']') end += rest[end] == '\\' ? 2 : 1;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  Eat(&rest, "- ");
  Eat(&rest, " ");
  Eat(&rest, "\xef\xbb\xbf");
  out->message = rest;
  return !out->program.empty();
}

}  // namespace

std::optional<SyslogHeader> ParseSyslogHeader(std::string_view line, const AuthLogClock& clock) {
  SyslogHeader out;
  if (line.starts_with('<')) {
    const std::size_t end = line.find('>');
    if (end == std::string_view::npos || end > 4) return std::nullopt;
    line.remove_prefix(end + 1);
    if (Eat(&line, "1 ")) {
      return Rfc5424(line, clock, &out) ? std::optional(out) : std::nullopt;
    }
  }
  if (!Traditional(&line, clock, &out.at) && !Rfc3339(&line, clock, &out.at)) return std::nullopt;
  // Host, in busybox's form also facility and severity, then the program. Neither holds a colon at
  // its end.
  for (int words = 0; words < 3; ++words) {
    if (Tag(Word(&line), &out)) {
      out.message = line;
      return out;
    }
    out.pid = 0;
  }
  return std::nullopt;
}

}  // namespace culprit
