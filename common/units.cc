// SPDX-License-Identifier: Apache-2.0
#include "common/units.h"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "common/ascii.h"

namespace culprit {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes digits with an optional fraction off the front. from_chars, because strtod follows the
// locale.
std::optional<double> TakeNumber(std::string_view& text) {
  if (text.empty() || !IsDigit(text.front())) return std::nullopt;
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::string TakeWord(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && ((text[length] >= 'a' && text[length] <= 'z') ||
                                  (text[length] >= 'A' && text[length] <= 'Z'))) {
    ++length;
  }
  std::string word(text.substr(0, length));
  text.remove_prefix(length);
  return word;
}

std::optional<double> ByteFactor(std::string_view unit) {
  if (unit.empty() || unit == "b" || unit == "byte" || unit == "bytes") return 1;
  constexpr std::string_view kLetters = "kmgtp";
  const std::size_t power = kLetters.find(unit.front());
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = unit.substr(1);
  const auto exponent = static_cast<double>(power + 1);
  if (rest == "ib") return std::pow(1024.0, exponent);
  if (rest == "b") return std::pow(1000.0, exponent);
  return std::nullopt;
}

std::optional<double> DurationFactor(std::string_view unit) {
  struct Unit {
    std::string_view name;
    double ns;
  };
  static constexpr std::array kUnits = {Unit{"ns", 1},
                                        Unit{"us", 1e3},
                                        Unit{"ms", 1e6},
                                        Unit{"s", 1e9},
                                        Unit{"sec", 1e9},
                                        Unit{"second", 1e9},
                                        Unit{"seconds", 1e9},
                                        Unit{"m", 60e9},
                                        Unit{"min", 60e9},
                                        Unit{"minute", 60e9},
                                        Unit{"minutes", 60e9},
                                        Unit{"h", 3600e9},
                                        Unit{"hour", 3600e9},
                                        Unit{"hours", 3600e9},
                                        Unit{"d", 86400e9},
                                        Unit{"day", 86400e9},
                                        Unit{"days", 86400e9},
                                        Unit{"w", 7 * 86400e9},
                                        Unit{"week", 7 * 86400e9},
                                        Unit{"weeks", 7 * 86400e9}};
  for (const Unit& candidate : kUnits) {
    if (candidate.name == unit) return candidate.ns;
  }
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> ParseByteSize(std::string_view text) {
  const Error error = InvalidArgument(fmt::format(
      "\"{}\" is not a size: write for instance \"256 MiB\", \"1.5 GB\" or 4096", text));
  std::string_view rest = TrimFront(text);
  const bool whole = rest.find('.') == std::string_view::npos;
  const std::string_view digits = rest;
  const auto number = TakeNumber(rest);
  if (!number) return error;
  const std::string_view number_text = digits.substr(0, digits.size() - rest.size());
  rest = TrimFront(rest);
  const auto factor = ByteFactor(AsciiLower(TakeWord(rest)));
  rest = TrimFront(rest);
  if (!factor || !rest.empty()) return error;
  if (*number * *factor >= 9.2e18) return error;
  if (whole) {  // exact where a double would round
    std::uint64_t exact = 0;
    std::from_chars(number_text.data(), number_text.data() + number_text.size(), exact);
    return exact * static_cast<std::uint64_t>(*factor);
  }
  return static_cast<std::uint64_t>(std::llround(*number * *factor));
}

Result<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const Error error = InvalidArgument(fmt::format(
      "\"{}\" is not a span of time: write for instance \"10s\", \"500ms\", \"1h30m\" or \"90d\"",
      text));
  std::string_view rest = TrimFront(text);
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return error;
  double total = 0;
  while (!rest.empty()) {
    const auto number = TakeNumber(rest);
    if (!number) return error;
    rest = TrimFront(rest);
    const auto factor = DurationFactor(AsciiLower(TakeWord(rest)));
    if (!factor) return error;
    total += *number * *factor;
    rest = TrimFront(rest);
  }
  if (total >= 9.2e18) return error;
  return std::chrono::nanoseconds(std::llround(total));
}

std::string FormatByteSize(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 7> kUnits = {"B",   "KiB", "MiB", "GiB",
                                                             "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.95 would print as "1024.0".
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::string FormatDuration(std::chrono::nanoseconds span) {
  if (span.count() < 0) {
    if (span.count() == std::numeric_limits<std::int64_t>::min())
      span += std::chrono::nanoseconds(1);
    return "-" + FormatDuration(-span);
  }
  const std::int64_t ms = span.count() / 1'000'000;
  const std::int64_t s = ms / 1000;
  if (span.count() == 0) return "0s";
  if (ms == 0) return fmt::format("{}us", span.count() / 1000);
  if (s == 0) return fmt::format("{}ms", ms);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
  return fmt::format("{}d{:02}h", s / 86400, s % 86400 / 3600);
}

std::string FormatUsd(std::uint64_t micro_usd) {
  if (micro_usd >= 100'000) {
    const std::uint64_t cents = micro_usd / 10'000 + (micro_usd % 10'000 >= 5'000 ? 1 : 0);
    return fmt::format("${}.{:02}", cents / 100, cents % 100);
  }
  const std::uint64_t parts = micro_usd / 100 + (micro_usd % 100 >= 50 ? 1 : 0);
  if (micro_usd != 0 && parts == 0) return "<$0.0001";
  return parts == 0 ? "$0" : fmt::format("$0.{:04}", parts);
}

}  // namespace culprit
