// SPDX-License-Identifier: Apache-2.0
// A text that is a number and nothing else: no blank, no plus sign, whatever the locale.
// Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_NUMBER_H_
#define CULPRIT_COMMON_NUMBER_H_

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace culprit {

// False where `text` is none, or more than *out holds. `format`: a base, or a std::chars_format.
template <class T, class... Format>
bool ParseWhole(std::string_view text, T* out, Format... format) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *out, format...);
  return error == std::errc() && stop == end;
}

template <class T>
std::optional<T> AsNumber(std::string_view text, int base = 10) {
  T value{};
  if (!ParseWhole(text, &value, base)) return std::nullopt;
  return value;
}

}  // namespace culprit

#endif  // CULPRIT_COMMON_NUMBER_H_
