// SPDX-License-Identifier: Apache-2.0
#include "common/text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace culprit {
namespace {

struct Decoded {
  std::uint32_t code_point = 0;
  std::size_t length = 0;  // 0 = malformed
};

// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing over U+10FFFF.
Decoded DecodeUtf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  std::size_t length = 0;
  std::uint32_t code_point = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
    code_point = lead & 0x1fU;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    code_point = lead & 0x0fU;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    code_point = lead & 0x07U;
  } else {
    return {};
  }
  if (text.size() < length) return {};
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    code_point = (code_point << 6U) | (byte(i) & 0x3fU);
  }
  const bool overlong =
      (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  if (overlong || surrogate || code_point > 0x10ffff) return {};
  return {code_point, length};
}

using Range = std::pair<std::uint32_t, std::uint32_t>;

template <std::size_t N>
bool InRanges(std::uint32_t code_point, const std::array<Range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) {
    return code_point >= r.first && code_point <= r.second;
  });
}

// What can hide, reorder or break text: C1 controls, soft hyphen, zero width and bidi controls,
// separators, interlinear annotation, tags, private use and noncharacters at the end of the basic
// plane.
bool IsDeceptive(std::uint32_t c) {
  static constexpr std::array<Range, 11> kRanges = {
      Range{0x7f, 0x9f}, {0xad, 0xad},     {0x61c, 0x61c},     {0x180e, 0x180e},
      {0x200b, 0x200f},  {0x2028, 0x202e}, {0x2060, 0x206f},   {0xe000, 0xf8ff},
      {0xfeff, 0xfeff},  {0xfff0, 0xffff}, {0xe0000, 0x10ffff}};
  return c < 0x20 || InRanges(c, kRanges);
}

bool IsCombining(std::uint32_t c) {
  static constexpr std::array<Range, 6> kRanges = {Range{0x300, 0x36f}, {0x483, 0x489},
                                                   {0x591, 0x5bd},      {0x1ab0, 0x1aff},
                                                   {0x20d0, 0x20ff},    {0xfe00, 0xfe0f}};
  return InRanges(c, kRanges);
}

bool IsWide(std::uint32_t c) {
  static constexpr std::array<Range, 8> kRanges = {
      Range{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},
      {0xfe30, 0xfe4f},      {0xff00, 0xff60}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
  return InRanges(c, kRanges);
}

std::size_t WidthOf(const Decoded& decoded) {
  if (decoded.length == 0) return 1;
  if (IsCombining(decoded.code_point)) return 0;
  return IsWide(decoded.code_point) ? 2 : 1;
}

std::size_t LengthOf(const Decoded& decoded) { return std::max<std::size_t>(decoded.length, 1); }

// Bytes of the longest front of `text` that fits in `columns`.
std::size_t FittingFront(std::string_view text, std::size_t columns) {
  std::size_t bytes = 0;
  std::size_t used = 0;
  while (bytes < text.size()) {
    const Decoded decoded = DecodeUtf8(text.substr(bytes));
    if (used + WidthOf(decoded) > columns) break;
    used += WidthOf(decoded);
    bytes += LengthOf(decoded);
  }
  return bytes;
}

}  // namespace

std::string EscapeText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded decoded = DecodeUtf8(text);
    if (decoded.length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text.front()));
    } else if (decoded.code_point == '\n') {
      out += "\\n";
    } else if (decoded.code_point == '\t') {
      out += "\\t";
    } else if (decoded.code_point == '\r') {
      out += "\\r";
    } else if (decoded.code_point < 0x80 && IsDeceptive(decoded.code_point)) {
      out += fmt::format("\\x{:02x}", decoded.code_point);
    } else if (IsDeceptive(decoded.code_point)) {
      out += fmt::format("\\u{{{:04x}}}", decoded.code_point);
    } else {
      out += text.substr(0, decoded.length);
    }
    text.remove_prefix(LengthOf(decoded));
  }
  return out;
}

std::size_t DisplayWidth(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Decoded decoded = DecodeUtf8(text);
    width += WidthOf(decoded);
    text.remove_prefix(LengthOf(decoded));
  }
  return width;
}

std::string TruncateMiddle(std::string_view text, std::size_t width) {
  const std::size_t total = DisplayWidth(text);
  if (total <= width) return std::string(text);
  if (width == 0) return {};
  // The front says which program, the end which arguments: the front gets the larger part.
  const std::size_t back_columns = (width - 1) / 3;
  const std::size_t front = FittingFront(text, width - 1 - back_columns);
  std::size_t back = text.size();
  for (std::size_t skip = total - back_columns; skip <= total; ++skip) {
    back = FittingFront(text, skip);
    if (DisplayWidth(text.substr(back)) <= back_columns) break;
  }
  return std::string(text.substr(0, front)) + "\u2026" + std::string(text.substr(back));
}

std::string NearestMatch(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j < row.size(); ++j) {
        const std::size_t substitute = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace culprit
