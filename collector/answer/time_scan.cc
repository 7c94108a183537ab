// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/time_scan.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace culprit {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 12> kLongMonths = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december"};
constexpr std::int64_t kSecond = 1'000'000'000;
// 2010 to 2100: other ten-digit numbers are telephone numbers.
constexpr std::int64_t kMinEpoch = 1'262'304'000, kMaxEpoch = 4'102'444'800;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// Reads forward; a failed attempt goes back to where it began.
class Cursor {
 public:
  Cursor(std::string_view text, std::size_t at) : text_(text), at_(at) {}
  std::size_t at() const { return at_; }
  void Reset(std::size_t at) { at_ = at; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  bool TakeAny(std::string_view chars) {
    if (at_ >= text_.size() || chars.find(text_[at_]) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  // A number of `min` to `max` digits that no digit follows.
  std::optional<std::int32_t> Number(std::size_t min, std::size_t max) {
    std::size_t end = at_;
    std::int32_t value = 0;
    while (end < text_.size() && IsDigit(text_[end]) && end - at_ < max) {
      value = value * 10 + (text_[end++] - '0');
    }
    if (end - at_ < min || (end < text_.size() && IsDigit(text_[end]))) return std::nullopt;
    at_ = end;
    return value;
  }
  void SkipBlanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  // 1 to 12; 0 = no name of a month.
  std::int32_t Month() {
    std::string word;
    std::size_t end = at_;
    while (end < text_.size() && IsLetter(text_[end]) && word.size() < 10) {
      word += static_cast<char>(text_[end++] | 0x20);
    }
    for (std::size_t i = 0; i < kMonths.size(); ++i) {
      if (word != kMonths.at(i) && word != kLongMonths.at(i) && !(i == 8 && word == "sept")) {
        continue;
      }
      at_ = end;
      return static_cast<std::int32_t>(i) + 1;
    }
    return 0;
  }
  bool Word(std::string_view word) {
    if (text_.size() - at_ < word.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i) {
      if ((text_[at_ + i] | 0x20) != word[i]) return false;
    }
    if (at_ + word.size() < text_.size() && IsLetter(text_[at_ + word.size()])) return false;
    at_ += word.size();
    return true;
  }
  std::string_view rest() const { return text_.substr(at_); }

 private:
  std::string_view text_;
  std::size_t at_;
};

bool IsDay(std::int32_t day) { return day >= 1 && day <= 31; }
bool IsMonth(std::int32_t month) { return month >= 1 && month <= 12; }
bool IsYear(std::int32_t year) { return year >= 2000 && year <= 2100; }

std::int32_t LongYear(std::int32_t year) { return year < 100 ? 2000 + year : year; }

void TakeZone(Cursor* in, WrittenTime* out) {
  std::size_t used = 0;
  ZoneName zone = ScanZone(in->rest(), &used);
  if (!zone.known()) return;
  out->zone = std::move(zone);
  in->Reset(in->at() + used);
}

// "19:03", "19:03:00.123", "7:03 PM", then perhaps a zone.
bool TakeClock(Cursor* in, WrittenTime* out) {
  const std::size_t begin = in->at();
  const auto hour = in->Number(1, 2);
  if (!hour || !in->Take(':')) return in->Reset(begin), false;
  const auto minute = in->Number(2, 2);
  if (!minute || *hour > 24 || *minute > 59) return in->Reset(begin), false;
  std::int32_t second = 0;
  const std::size_t minutes_end = in->at();
  if (in->Take(':')) {
    const auto read = in->Number(2, 2);
    if (!read || *read > 60) return in->Reset(begin), false;
    second = *read;
    out->has_seconds = true;
    const std::size_t seconds_end = in->at();
    if (!in->TakeAny(".,") || !in->Number(1, 9)) in->Reset(seconds_end);
  } else {
    in->Reset(minutes_end);
  }
  std::int32_t hours = *hour % 24;
  const std::size_t clock_end = in->at();
  in->SkipBlanks();
  const bool morning = in->Word("am") || in->Word("a.m.");
  const bool evening = !morning && (in->Word("pm") || in->Word("p.m."));
  if (!morning && !evening) in->Reset(clock_end);
  if ((morning || evening) && *hour >= 1 && *hour <= 12) hours = *hour % 12 + (evening ? 12 : 0);
  out->has_clock = true;
  out->seconds = hours * 3600 + *minute * 60 + std::min(second, 59);
  TakeZone(in, out);
  return true;
}

// What stands between a date and its time.
void ClockAfterDate(Cursor* in, WrittenTime* out) {
  const std::size_t begin = in->at();
  if (!in->TakeAny("Tt_:")) {
    in->TakeAny(",;");
    in->SkipBlanks();
    if (in->Word("at") || in->TakeAny("-@")) in->SkipBlanks();
  }
  if (!TakeClock(in, out)) in->Reset(begin);
}

// 2026-03-01, 2026/03/01.
bool YearFirst(Cursor* in, WrittenTime* out) {
  const auto year = in->Number(4, 4);
  if (!year || !IsYear(*year)) return false;
  const char between = in->peek();
  if (!in->TakeAny("-/.")) return false;
  const auto month = in->Number(1, 2);
  if (!month || !in->Take(between)) return false;
  const auto day = in->Number(1, 2);
  if (!day || !IsMonth(*month) || !IsDay(*day)) return false;
  out->has_date = true;
  out->year = *year;
  out->month = *month;
  out->day = *day;
  ClockAfterDate(in, out);
  return true;
}

// 20260301T190300Z.
bool Compact(Cursor* in, WrittenTime* out) {
  const auto date = in->Number(8, 8);
  if (!date || !in->TakeAny("Tt")) return false;
  const auto clock = in->Number(6, 6);
  const std::int32_t month = *date / 100 % 100, day = *date % 100;
  if (!clock || !IsYear(*date / 10'000) || !IsMonth(month) || !IsDay(day)) return false;
  if (*clock / 10'000 > 23 || *clock / 100 % 100 > 59 || *clock % 100 > 59) return false;
  out->has_date = out->has_clock = out->has_seconds = true;
  out->year = *date / 10'000;
  out->month = month;
  out->day = day;
  out->seconds = *clock / 10'000 * 3600 + *clock / 100 % 100 * 60 + *clock % 100;
  TakeZone(in, out);
  return true;
}

// 03/01/2026, 1.3.2026, 01-03-26: which is the month is for the reader.
bool NumbersOnly(Cursor* in, WrittenTime* out) {
  const auto first = in->Number(1, 2);
  if (!first) return false;
  const char between = in->peek();
  if (!in->TakeAny("/.-")) return false;
  const auto second = in->Number(1, 2);
  if (!second || !in->Take(between)) return false;
  const std::size_t at = in->at();
  auto year = in->Number(4, 4);
  if (!year) {
    in->Reset(at);
    year = in->Number(2, 2);
  }
  if (!year || !IsYear(LongYear(*year)) || !IsDay(*first) || !IsDay(*second)) return false;
  if (!IsMonth(*first) && !IsMonth(*second)) return false;
  // An address ends like a date: 192.0.2.10.
  if (between == '.' && in->peek() == '.') return false;
  out->has_date = true;
  out->year = LongYear(*year);
  // With dots the day comes first everywhere.
  if (between == '.' && IsMonth(*second)) {
    out->day = *first;
    out->month = *second;
  } else {
    out->first = *first;
    out->second = *second;
  }
  ClockAfterDate(in, out);
  return out->has_clock || *year > 100;
}

// 13 Jul 2026, 13/Jul/2026:14:19:18, 13-Jul.
bool DayFirst(Cursor* in, WrittenTime* out) {
  const auto day = in->Number(1, 2);
  if (!day || !IsDay(*day)) return false;
  if (in->Word("st") || in->Word("nd") || in->Word("rd") || in->Word("th")) in->SkipBlanks();
  if (!in->TakeAny("/-.")) in->SkipBlanks();
  if (in->Word("of")) in->SkipBlanks();
  const std::int32_t month = in->Month();
  if (month == 0) return false;
  out->has_date = true;
  out->month = month;
  out->day = *day;
  const std::size_t end = in->at();
  if (!in->TakeAny("/-.,")) in->SkipBlanks();
  in->SkipBlanks();
  const auto year = in->Number(4, 4);
  if (year && IsYear(*year)) {
    out->year = *year;
  } else {
    in->Reset(end);
  }
  ClockAfterDate(in, out);
  return true;
}

// Jul 13 14:19:18, March 1, 2026 at 7:03 PM, Mar  1 19:03:00 PST 2026.
bool MonthFirst(Cursor* in, WrittenTime* out) {
  const std::int32_t month = in->Month();
  if (month == 0) return false;
  in->TakeAny(".-/");
  in->SkipBlanks();
  const auto day = in->Number(1, 2);
  if (!day || !IsDay(*day)) return false;
  if (!(in->Word("st") || in->Word("nd") || in->Word("rd"))) in->Word("th");
  out->has_date = true;
  out->month = month;
  out->day = *day;
  const auto take_year = [&] {
    const std::size_t end = in->at();
    in->TakeAny(",/-");
    in->SkipBlanks();
    const auto year = in->Number(4, 4);
    if (!year || !IsYear(*year)) return in->Reset(end);
    out->year = *year;
  };
  take_year();
  ClockAfterDate(in, out);
  if (out->year == 0 && out->has_clock) take_year();
  if (out->has_clock && !out->zone.known()) TakeZone(in, out);
  return true;
}

// Seconds since 1970, with a fraction; or ms, us, ns.
bool Epoch(std::string_view text, std::size_t begin, WrittenTime* out) {
  std::size_t end = begin;
  while (end < text.size() && end - begin < 20 && IsDigit(text[end])) ++end;
  std::int64_t value = 0;
  if (std::from_chars(text.data() + begin, text.data() + end, value).ec != std::errc())
    return false;
  std::int64_t unit = kSecond;
  switch (end - begin) {
    case 10:
      break;
    case 13:
      unit = 1'000'000;
      break;
    case 16:
      unit = 1000;
      break;
    case 19:
      unit = 1;
      break;
    default:
      return false;
  }
  const std::int64_t per_second = kSecond / unit;
  if (value / per_second < kMinEpoch || value / per_second > kMaxEpoch) return false;
  out->epoch_ns = value * unit;
  if (end < text.size() && text[end] == '.') {
    std::size_t fraction = end + 1;
    while (fraction < text.size() && IsDigit(text[fraction])) ++fraction;
    end = fraction;
  }
  out->has_date = out->has_clock = out->has_seconds = true;
  out->end = end;
  return true;
}

// "22 may", "1 mar": words that are no dates by themselves.
bool IsTooLittle(const WrittenTime& time) {
  return !time.has_clock && time.year == 0 && !time.epoch_ns;
}

// The second half of an IPv6 address, of a hardware address or of an address with its port.
bool BehindColon(std::string_view text, std::size_t at) {
  if (at < 2 || text[at - 1] != ':') return false;
  return IsDigit(text[at - 2]) || text[at - 2] == ':' || (at >= 4 && text[at - 4] == ':');
}

bool TimeAt(std::string_view text, std::size_t at, WrittenTime* out) {
  using Form = bool (*)(Cursor*, WrittenTime*);
  static constexpr Form kDigitForms[] = {YearFirst, Compact, DayFirst, NumbersOnly};
  WrittenTime time;
  Cursor in(text, at);
  bool found = false;
  if (IsDigit(text[at])) {
    for (const Form form : kDigitForms) {
      time = {};
      in.Reset(at);
      found = form(&in, &time) && !IsTooLittle(time);
      if (found) break;
    }
    if (!found) {
      time = {};
      found = Epoch(text, at, &time);
      if (found) in.Reset(time.end);
    }
    if (!found && !BehindColon(text, at)) {
      time = {};
      in.Reset(at);
      found = TakeClock(&in, &time);
    }
  } else {
    found = MonthFirst(&in, &time) && !IsTooLittle(time);
  }
  if (!found) return false;
  time.begin = at;
  time.end = in.at();
  time.text = std::string(text.substr(at, time.end - at));
  *out = std::move(time);
  return true;
}

}  // namespace

std::vector<WrittenTime> ScanTimes(std::string_view text) {
  std::vector<WrittenTime> out;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const char before = at == 0 ? ' ' : text[at - 1];
    const bool starts = IsDigit(c) ? !IsDigit(before) && !IsLetter(before) && before != '.'
                                   : IsLetter(c) && !IsLetter(before);
    WrittenTime time;
    if (starts && TimeAt(text, at, &time)) {
      at = std::max(time.end, at + 1);
      out.push_back(std::move(time));
    } else {
      ++at;
    }
  }
  return out;
}

}  // namespace culprit
