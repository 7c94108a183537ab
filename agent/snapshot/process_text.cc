// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/process_text.h"

#include <charconv>

#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::string_view kBlanks = " \t\n";

template <class T>
T NumberOf(std::string_view word, int base = 10) {
  T value{};
  std::from_chars(word.data(), word.data() + word.size(), value, base);
  return value;
}

}  // namespace

std::optional<StatFields> ParseStat(std::string_view text) {
  const std::size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return std::nullopt;
  StatFields fields;
  fields.comm = std::string(text.substr(open + 1, close - open - 1));
  std::string_view rest = text.substr(close + 1);
  std::vector<std::string_view> words;
  while (words.size() < 20) {
    const std::string_view word = NextWord(&rest, kBlanks);
    if (word.empty()) return std::nullopt;
    words.push_back(word);
  }
  fields.state = words[0].front();
  fields.parent = NumberOf<std::uint32_t>(words[1]);
  fields.group = NumberOf<std::uint32_t>(words[2]);
  fields.session = NumberOf<std::uint32_t>(words[3]);
  fields.terminal = NumberOf<std::int64_t>(words[4]);
  fields.user_ticks = NumberOf<std::uint64_t>(words[11]);
  fields.system_ticks = NumberOf<std::uint64_t>(words[12]);
  fields.start_ticks = NumberOf<std::uint64_t>(words[19]);
  return fields;
}

std::string_view StatusField(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = NextLine(&text);
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    return TrimFront(line.substr(name.size() + 1));
  }
  return {};
}

std::vector<std::string> ParseArguments(std::string_view cmdline, std::size_t limit) {
  std::vector<std::string> arguments;
  while (!cmdline.empty() && arguments.size() < limit) {
    arguments.emplace_back(NextUntil(&cmdline, '\0'));
  }
  return arguments;
}

std::optional<std::uint64_t> SocketInode(std::string_view link) {
  constexpr std::string_view kStart = "socket:[";
  if (!link.starts_with(kStart) || !link.ends_with(']')) return std::nullopt;
  return AsNumber<std::uint64_t>(link.substr(kStart.size(), link.size() - kStart.size() - 1));
}

std::optional<MapRange> ParseMapLine(std::string_view line) {
  MapRange range;
  const std::string_view addresses = NextWord(&line, kBlanks),
                         permissions = NextWord(&line, kBlanks);
  NextWord(&line, kBlanks);  // offset
  NextWord(&line, kBlanks);  // device
  const std::string_view inode = NextWord(&line, kBlanks);
  const std::size_t dash = addresses.find('-');
  if (dash == std::string_view::npos || permissions.size() < 4 || inode.empty())
    return std::nullopt;
  range.start = NumberOf<std::uint64_t>(addresses.substr(0, dash), 16);
  range.end = NumberOf<std::uint64_t>(addresses.substr(dash + 1), 16);
  if (range.end <= range.start) return std::nullopt;
  range.writable = permissions[1] == 'w';
  range.executable = permissions[2] == 'x';
  range.inode = NumberOf<std::uint64_t>(inode);
  range.path = TrimFront(line, " ");
  return range;
}

bool IsAnonymousCode(const MapRange& range) {
  if (!range.executable) return false;
  if (range.path.starts_with("[v")) return false;  // [vdso], [vsyscall]: the kernel's
  return range.path.empty() || range.path.starts_with('[') || range.path.starts_with("/memfd:") ||
         range.path.ends_with(" (deleted)");
}

}  // namespace culprit
