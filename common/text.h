// SPDX-License-Identifier: Apache-2.0
// Text that somebody else wrote (command lines, hostnames, paths) made safe for a terminal or a log
// line. Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_TEXT_H_
#define CULPRIT_COMMON_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

// Well-formed printable UTF-8 stays; control characters (so every ANSI sequence), malformed bytes,
// and characters that reorder, hide or break a line (bidi controls, zero width, line separators)
// become \n, \t, \xNN or \u{NNNN}.
std::string EscapeText(std::string_view text);

// Terminal columns of text that EscapeText returned: East Asian wide characters count two,
// combining marks none.
std::size_t DisplayWidth(std::string_view text);

// Cuts to at most `width` columns by leaving out the middle ("/usr/bin/pyth…-p 8080"); never splits
// a character.
std::string TruncateMiddle(std::string_view text, std::size_t width);

// The candidate that is nearest to `word` by edit distance, if near enough to be a typing error;
// else empty.
std::string NearestMatch(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace culprit

#endif  // CULPRIT_COMMON_TEXT_H_
