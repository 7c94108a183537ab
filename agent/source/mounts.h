// SPDX-License-Identifier: Apache-2.0
// The mount table as /proc/PID/mountinfo gives it (proc(5)). Stage: source. Pure. Thread: values.
#ifndef CULPRIT_AGENT_SOURCE_MOUNTS_H_
#define CULPRIT_AGENT_SOURCE_MOUNTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

struct Mount {
  std::uint32_t dev_major = 0, dev_minor = 0;
  std::string mount_point;  // unescaped
  std::string fs_type;
};

// Lines that do not parse are passed over.
std::vector<Mount> ParseMountinfo(std::string_view text);
// Whether a program can be executed from this kind of filesystem at all (proc, sysfs, cgroup and
// the like: no).
bool HoldsPrograms(std::string_view fs_type);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_MOUNTS_H_
