// SPDX-License-Identifier: Apache-2.0
// The files in which dpkg keeps what belongs to which package: NAME.list (a path a line),
// NAME.md5sums (digest, two blanks, path without its first slash) and diversions (three lines
// each). Stage: source. Pure, total on any bytes. Thread: values; views point into the text.
#ifndef CULPRIT_AGENT_SOURCE_DPKG_TEXT_H_
#define CULPRIT_AGENT_SOURCE_DPKG_TEXT_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

inline constexpr std::size_t kMd5HexBytes = 32;
inline constexpr std::size_t kMaxDiversions = 4096;

// Lists say "/bin/ls" or "/usr/bin/ls", as the package was made. Where `merged`, /bin, /sbin and
// /lib* are links into /usr, so that both are one file; then this is the path without /usr.
std::string_view PlainPath(std::string_view path, bool merged);

// Absolute paths alone.
void ForEachListed(std::string_view list, const std::function<void(std::string_view)>& take);

// Lower-case digits; empty = the file is not among them, or its line makes no sense.
std::string_view DigestOf(std::string_view md5sums, std::string_view path, bool merged);

// `from` as the packages list it is `to` on disk, for all packages but `by` (":" = the operator).
struct Diversion {
  std::string from, to, by;
};
std::vector<Diversion> ParseDiversions(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_DPKG_TEXT_H_
