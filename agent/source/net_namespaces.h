// SPDX-License-Identifier: Apache-2.0
// Reads the counters of interfaces in other network namespaces through a process that lives there:
// no setns, so the agent stays where it is. Stage: source (edge: /proc). Thread: one caller.
// Failure: a namespace without a process is unreadable, which is said, not guessed.
#ifndef CULPRIT_AGENT_SOURCE_NET_NAMESPACES_H_
#define CULPRIT_AGENT_SOURCE_NET_NAMESPACES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/model/event.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

class NetNamespaces {
 public:
  explicit NetNamespaces(std::string root = "/proc");

  // The interfaces of a namespace (its inode), with their counters as of now; nullopt: nobody lives
  // there.
  std::optional<std::vector<InterfaceCountersEvent>> Read(std::uint32_t netns, BootTime now);
  std::uint64_t scans() const { return scans_; }

 private:
  std::optional<Tgid> MemberOf(std::uint32_t netns, BootTime now);
  std::uint32_t NamespaceOf(Tgid tgid) const;  // 0: gone
  void Scan(BootTime now);

  std::string root_;
  std::unordered_map<std::uint32_t, Tgid> members_;
  std::unordered_set<std::uint32_t> deserted_;  // looked for in vain by the last scan
  BootTime scanned_;
  std::uint64_t scans_ = 0;
};

// The text of /proc/PID/net/dev. Total on any bytes: lines that are no interface's are passed over.
// `at` and `netns` are left to the caller.
std::vector<InterfaceCountersEvent> ParseNetDev(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_NET_NAMESPACES_H_
