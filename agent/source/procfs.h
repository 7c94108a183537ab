// SPDX-License-Identifier: Apache-2.0
// Procfs: text about processes that were there before the agent (path, working directory,
// arguments, container). Who they are comes from the kernel's iterators; /proc only adds what those
// cannot give, so losing a race is harmless. Stage: source (edge: /proc). Thread: one caller. Every
// read is bounded; `root` is a directory tree in tests.
#ifndef CULPRIT_AGENT_SOURCE_PROCFS_H_
#define CULPRIT_AGENT_SOURCE_PROCFS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/event.h"
#include "common/ids.h"

namespace culprit {

// What /proc/PID/{stat,smaps_rollup} say about what a process costs.
struct ProcessUsage {
  std::uint64_t cpu_us = 0;  // user + system
  std::uint64_t rss_bytes = 0;
  std::uint64_t pss_bytes = 0;  // 0 if not asked for
};

class Procfs {
 public:
  explicit Procfs(std::string root = "/proc");

  // At most `limit` processes.
  std::vector<Tgid> List(std::size_t limit) const;
  // nullopt: the process is gone (or is a kernel thread, which has no text).
  std::optional<ProcfsEvent> Read(Tgid tgid, BootTime now) const;
  // `with_pss` reads smaps_rollup, which walks the process's page tables: not for every second.
  std::optional<ProcessUsage> Usage(Tgid tgid, bool with_pss) const;

 private:
  std::string root_;
  std::uint64_t ticks_per_second_;
};

// Pure parts.
// Field 22 of /proc/PID/stat in clock ticks, past any command name; nullopt if it is not such a
// line.
std::optional<std::uint64_t> StartTicksFromStat(std::string_view stat);
// The container id (64 hexadecimal digits) in the text of /proc/PID/cgroup; empty if there is none.
std::string ContainerIdFromProcCgroup(std::string_view cgroup);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_PROCFS_H_
