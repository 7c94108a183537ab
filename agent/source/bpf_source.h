// SPDX-License-Identifier: Apache-2.0
// BpfSource: the live kernel as an EventSource. Loads bpf/, attaches what this kernel allows, says
// what it does not. Stage: source (edge). Thread: one caller; nothing here runs on its own. The
// programs are unpinned: they end with the object, so that a crash of the agent never leaves hooks
// behind. They only observe: every verdict is "allow". Failure: Open() fails with one message and
// its remedy (root, BTF, cgroup2, memlock); an optional hook that this kernel refuses is left out
// and named, with what stands in for it, in fidelity().
#ifndef CULPRIT_AGENT_SOURCE_BPF_SOURCE_H_
#define CULPRIT_AGENT_SOURCE_BPF_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/source/source.h"

namespace culprit {

struct BpfSourceOptions {
  std::string cgroup_path;  // cgroup2 mount point; empty: found in /proc/self/mountinfo
  std::string mountinfo_path = "/proc/self/mountinfo";
  std::string btf_path = "/sys/kernel/btf/vmlinux";
  std::vector<std::string> disabled_hooks;  // names as in fidelity(); for tests of degraded modes
  // Entries of the process table that one uid may have; 0: a quarter of it. Tests make it small.
  std::uint32_t processes_per_uid = 0;
  bool measure_cost = false;  // keep kernel.bpf run statistics on while the source lives
};

// Opens and loads, attaches nothing yet: Start() does.
Result<std::unique_ptr<EventSource>> OpenBpfSource(const BpfSourceOptions& options);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_BPF_SOURCE_H_
