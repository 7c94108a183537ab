// SPDX-License-Identifier: Apache-2.0
// Takes a line apart from the left. Stage: login. Pure. Private to the folder.
#ifndef CULPRIT_AGENT_LOGIN_TEXT_CURSOR_H_
#define CULPRIT_AGENT_LOGIN_TEXT_CURSOR_H_

#include <charconv>
#include <cstdint>
#include <string_view>

#include "common/ascii.h"

namespace culprit {

inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The whole of `text` as a decimal number.
template <class Number>
bool ToNumber(std::string_view text, Number* out) {
  if (text.empty() || !IsDigit(text.front())) return false;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *out);
  return error == std::errc() && stop == end;
}

// Removes `prefix`; false and nothing changed where it is not there.
inline bool Eat(std::string_view* text, std::string_view prefix) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

inline bool EatEnd(std::string_view* text, std::string_view suffix) {
  if (!text->ends_with(suffix)) return false;
  text->remove_suffix(suffix.size());
  return true;
}

// Up to the next blank, which goes as well.
inline std::string_view Word(std::string_view* text) { return NextUntil(text, ' '); }

// From the last blank on, which goes as well.
inline std::string_view LastWord(std::string_view* text) {
  const std::size_t at = text->rfind(' ');
  const std::string_view word = at == std::string_view::npos ? *text : text->substr(at + 1);
  *text = at == std::string_view::npos ? std::string_view() : text->substr(0, at);
  return word;
}

}  // namespace culprit

#endif  // CULPRIT_AGENT_LOGIN_TEXT_CURSOR_H_
