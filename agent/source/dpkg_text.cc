// SPDX-License-Identifier: Apache-2.0
#include "agent/source/dpkg_text.h"

#include <algorithm>
#include <array>

namespace culprit {
namespace {

constexpr std::array<std::string_view, 7> kMerged = {"bin/",   "sbin/",   "lib/",   "lib32/",
                                                     "lib64/", "libx32/", "libo32/"};

std::string_view NextLine(std::string_view* text) {
  const std::size_t end = text->find('\n');
  const std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return line;
}

bool IsLowerHex(std::string_view digits) {
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Without the slash that lists of digests leave out.
std::string_view Relative(std::string_view path, bool merged) {
  path = PlainPath(path, merged);
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

}  // namespace

std::string_view PlainPath(std::string_view path, bool merged) {
  constexpr std::string_view kUsr = "/usr";
  if (!merged || !path.starts_with("/usr/")) return path;
  const std::string_view rest = path.substr(kUsr.size() + 1);
  const bool is = std::any_of(kMerged.begin(), kMerged.end(),
                              [rest](std::string_view folder) { return rest.starts_with(folder); });
  return is ? path.substr(kUsr.size()) : path;
}

void ForEachListed(std::string_view list, const std::function<void(std::string_view)>& take) {
  while (!list.empty()) {
    const std::string_view line = NextLine(&list);
    if (line.starts_with('/')) take(line);
  }
}

std::string_view DigestOf(std::string_view md5sums, std::string_view path, bool merged) {
  const std::string_view wanted = Relative(path, merged);
  while (!md5sums.empty()) {
    const std::string_view line = NextLine(&md5sums);
    if (line.size() < kMd5HexBytes + 3 || line.substr(kMd5HexBytes, 2) != "  ") continue;
    const std::string_view listed = line.substr(kMd5HexBytes + 2);
    const bool usr = merged && listed.starts_with("usr/");
    const bool same = listed == wanted || (usr && listed.substr(4) == wanted);
    if (same) return IsLowerHex(line.substr(0, kMd5HexBytes)) ? line.substr(0, kMd5HexBytes) : "";
  }
  return "";
}

std::vector<Diversion> ParseDiversions(std::string_view text) {
  std::vector<Diversion> diversions;
  while (!text.empty() && diversions.size() < kMaxDiversions) {
    const std::string_view from = NextLine(&text), to = NextLine(&text), by = NextLine(&text);
    if (!from.starts_with('/') || !to.starts_with('/') || by.empty()) continue;
    diversions.push_back({std::string(from), std::string(to), std::string(by)});
  }
  return diversions;
}

}  // namespace culprit
