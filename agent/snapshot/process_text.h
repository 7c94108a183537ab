// SPDX-License-Identifier: Apache-2.0
// Texts of /proc/PID that processes can shape (names, arguments, descriptors), read without being
// led astray. Stage: snapshot, pure. Thread: values. Total on any bytes.
#ifndef CULPRIT_AGENT_SNAPSHOT_PROCESS_TEXT_H_
#define CULPRIT_AGENT_SNAPSHOT_PROCESS_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

struct StatFields {
  std::string comm;
  char state = '?';
  std::uint32_t parent = 0, group = 0, session = 0;
  std::int64_t terminal = 0;
  std::uint64_t user_ticks = 0, system_ticks = 0, start_ticks = 0;
};
// A command may have blanks, brackets and line feeds in it.
std::optional<StatFields> ParseStat(std::string_view text);
// The value behind "Name:" of a status file; empty if there is none.
std::string_view StatusField(std::string_view text, std::string_view name);
std::vector<std::string> ParseArguments(std::string_view cmdline, std::size_t limit);
// The number in "socket:[4711]".
std::optional<std::uint64_t> SocketInode(std::string_view link);

struct MapRange {
  std::uint64_t start = 0, end = 0, inode = 0;
  bool writable = false, executable = false;
  std::string_view path;  // in the text
};
std::optional<MapRange> ParseMapLine(std::string_view line);
// Code that is in no file of the disk: written by the process itself, or from a memory file.
bool IsAnonymousCode(const MapRange& range);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_PROCESS_TEXT_H_
