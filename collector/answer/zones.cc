// SPDX-License-Identifier: Apache-2.0
// Names of time zones. A name that several parts of the world use has all their offsets, the
// likeliest in a report to AWS first.
#include <algorithm>
#include <array>

#include "collector/answer/time_scan.h"

namespace culprit {
namespace {

struct Named {
  const char* name;
  std::array<std::int32_t, 3> minutes;
  int count;
};

constexpr Named kNames[] = {
    {"Z", {0}, 1},           {"UTC", {0}, 1},
    {"GMT", {0}, 1},         {"UT", {0}, 1},
    {"WET", {0}, 1},         {"WEST", {60}, 1},
    {"BST", {60, 360}, 2},   {"CET", {60}, 1},
    {"CEST", {120}, 1},      {"MEZ", {60}, 1},
    {"MESZ", {120}, 1},      {"EET", {120}, 1},
    {"EEST", {180}, 1},      {"MSK", {180}, 1},
    {"SAST", {120}, 1},      {"IST", {330, 60, 120}, 3},
    {"PKT", {300}, 1},       {"ICT", {420}, 1},
    {"WIB", {420}, 1},       {"SGT", {480}, 1},
    {"HKT", {480}, 1},       {"AWST", {480}, 1},
    {"JST", {540}, 1},       {"KST", {540}, 1},
    {"AEST", {600}, 1},      {"AEDT", {660}, 1},
    {"NZST", {720}, 1},      {"NZDT", {780}, 1},
    {"EST", {-300}, 1},      {"EDT", {-240}, 1},
    {"ET", {-300, -240}, 2}, {"CST", {-360, 480}, 2},
    {"CDT", {-300}, 1},      {"CT", {-360, -300}, 2},
    {"MST", {-420}, 1},      {"MDT", {-360}, 1},
    {"MT", {-420, -360}, 2}, {"PST", {-480}, 1},
    {"PDT", {-420}, 1},      {"PT", {-480, -420}, 2},
    {"AKST", {-540}, 1},     {"AKDT", {-480}, 1},
    {"HST", {-600}, 1},      {"BRT", {-180}, 1},
    {"ART", {-180}, 1},      {"AST", {-240, 180}, 2},
    {"ADT", {-180}, 1},      {"GST", {240}, 1},
};

constexpr std::size_t kMaxName = 4;
constexpr std::int32_t kMinMinutes = -12 * 60, kMaxMinutes = 14 * 60;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// "art" and "met" are words; "pdt" is none.
bool WrittenAsZone(std::string_view word) {
  constexpr std::array<std::string_view, 6> kSmall = {"utc", "gmt", "pst", "pdt", "est", "edt"};
  return std::ranges::find(kSmall, word) != kSmall.end() ||
         std::ranges::none_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
}

// "+05:30", "-0700", "+2" from `at`; its length, 0 = none.
std::size_t Offset(std::string_view text, std::size_t at, std::int32_t* minutes) {
  if (at >= text.size() || (text[at] != '+' && text[at] != '-')) return 0;
  const bool west = text[at] == '-';
  std::size_t end = at + 1;
  while (end < text.size() && IsDigit(text[end]) && end < at + 6) ++end;
  const std::size_t digits = end - at - 1;
  std::int32_t value = 0;
  for (std::size_t i = at + 1; i < end; ++i) value = value * 10 + (text[i] - '0');
  if (digits == 1 || digits == 2) {
    value *= 60;
    if (end + 2 < text.size() && text[end] == ':' && IsDigit(text[end + 1]) &&
        IsDigit(text[end + 2])) {
      value += (text[end + 1] - '0') * 10 + (text[end + 2] - '0');
      end += 3;
    }
  } else if (digits == 4) {
    value = value / 100 * 60 + value % 100;
  } else {
    return 0;
  }
  *minutes = west ? -value : value;
  return *minutes < kMinMinutes || *minutes > kMaxMinutes ? 0 : end - at;
}

}  // namespace

ZoneName ScanZone(std::string_view text, std::size_t* used) {
  ZoneName zone;
  *used = 0;
  std::size_t at = 0;
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t') && at < 4) ++at;
  const bool bracket = at < text.size() && (text[at] == '(' || text[at] == '[');
  if (bracket) ++at;
  std::string name;
  std::size_t end = at;
  while (end < text.size() && IsLetter(text[end]) && name.size() <= kMaxName) {
    name += Upper(text[end++]);
  }
  std::int32_t minutes = 0;
  std::size_t length = 0;
  if (name.empty() || name == "UTC" || name == "GMT") length = Offset(text, end, &minutes);
  if (length > 0) {
    zone.minutes = {minutes};
    end += length;
  } else {
    const auto* found = std::ranges::find(kNames, name, &Named::name);
    if (found == std::ranges::end(kNames) || !WrittenAsZone(text.substr(at, end - at))) return zone;
    zone.minutes.assign(found->minutes.begin(), found->minutes.begin() + found->count);
  }
  if (bracket && end < text.size() && (text[end] == ')' || text[end] == ']')) ++end;
  zone.name = std::string(text.substr(at, end - at));
  *used = end;
  return zone;
}

}  // namespace culprit
