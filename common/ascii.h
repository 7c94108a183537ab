// SPDX-License-Identifier: Apache-2.0
// Text whose meaning is in its ASCII: keywords, header names, DNS names, paths. Bytes above 127
// stay as they are, whatever the locale. Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_ASCII_H_
#define CULPRIT_COMMON_ASCII_H_

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

}  // namespace culprit

#endif  // CULPRIT_COMMON_ASCII_H_
