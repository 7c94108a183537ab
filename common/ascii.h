// SPDX-License-Identifier: Apache-2.0
// Text whose meaning is in its ASCII: keywords, header names, DNS names, paths. Bytes above 127
// stay as they are, whatever the locale. Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_ASCII_H_
#define CULPRIT_COMMON_ASCII_H_

#include <algorithm>
#include <string>
#include <string_view>

namespace culprit {

inline std::string AsciiLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// What stands behind the last slash: all of it where there is none.
inline std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Path without the " (deleted)" that the kernel adds.
inline std::string_view WithoutDeleted(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return path;
}

// Without what of `drop` it begins with, ends with, or both.
inline std::string_view TrimFront(std::string_view text, std::string_view drop = " \t") {
  text.remove_prefix(std::min(text.find_first_not_of(drop), text.size()));
  return text;
}
inline std::string_view TrimBack(std::string_view text, std::string_view drop = " \t") {
  return text.substr(0, text.find_last_not_of(drop) + 1);
}
inline std::string_view Trim(std::string_view text, std::string_view drop = " \t") {
  return TrimFront(TrimBack(text, drop), drop);
}

// What stands before the first `end`, or all where there is none: taken off `text`, and the `end`
// with it.
inline std::string_view NextUntil(std::string_view* text, char end) {
  const std::string_view part = text->substr(0, text->find(end));
  text->remove_prefix(std::min(part.size() + 1, text->size()));
  return part;
}
inline std::string_view NextLine(std::string_view* text) { return NextUntil(text, '\n'); }
// The next word, taken off `text` with what of `blanks` is before it; empty: there is none.
inline std::string_view NextWord(std::string_view* text, std::string_view blanks) {
  *text = TrimFront(*text, blanks);
  const std::string_view word = text->substr(0, text->find_first_of(blanks));
  text->remove_prefix(word.size());
  return word;
}

}  // namespace culprit

#endif  // CULPRIT_COMMON_ASCII_H_
