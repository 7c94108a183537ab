// SPDX-License-Identifier: Apache-2.0
// A unit of systemd as far as SSH depends on it: what it starts, by which file and line, and where
// a socket unit listens. Stage: posture, pure behind FileTree. Thread: values. Bounded: 64 files of
// 64 KiB.
#ifndef CULPRIT_AGENT_POSTURE_SYSTEMD_UNIT_H_
#define CULPRIT_AGENT_POSTURE_SYSTEMD_UNIT_H_

#include <optional>
#include <string>
#include <vector>

#include "agent/posture/file_tree.h"
#include "agent/posture/sshd_config.h"

namespace culprit {

struct UnitLine {
  std::string section, key, value;
  Origin origin;
};

struct SystemdUnit {
  std::string name;                // "ssh.service"
  std::string path;                // its main file
  std::vector<std::string> files;  // that file and its drop-ins, in the order in which they count
  std::vector<UnitLine> lines;
  // The last ExecStart; "" of none. An empty assignment clears those before it.
  UnitLine ExecStart() const;
  std::vector<UnitLine> Listens() const;  // ListenStream, likewise
};

// The first of the names that exists as a unit.
std::optional<SystemdUnit> FindUnit(FileTree& tree, const std::vector<std::string>& names);

// Words of a command line of a unit, with variables of Environment and EnvironmentFile put in.
std::vector<std::string> CommandOf(FileTree& tree, const SystemdUnit& unit);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SYSTEMD_UNIT_H_
