// SPDX-License-Identifier: Apache-2.0
// Which processes there are, seen from three sides: /proc as it is mounted, a procfs of our own
// that is mounted nowhere, or for us alone (nothing can lie over it), and the kernel's list. What
// one side lacks is hidden from it.
//
// Stage: snapshot (edge: procfs, bpf). Thread: one caller.
#ifndef CULPRIT_AGENT_SNAPSHOT_PROC_VIEW_H_
#define CULPRIT_AGENT_SNAPSHOT_PROC_VIEW_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct SnapshotProcfs {
  UniqueFd fd;
  bool detached = false;    // another than the host sees: nothing of the host's lies over it
  std::string problem;      // why it is not
  UniqueFd mounted;         // /proc as the host sees it
  std::string mount_table;  // below `mounted`: what lies over it
};
// Mounted nowhere; else, where a unit was given a /proc of its own (ProtectProc=), that one, and
// the host's is what pid 1 sees; else /proc for both.
SnapshotProcfs OpenProcfs();
// The numbers in a procfs, sorted, at most `limit`.
std::vector<std::uint32_t> ListProcesses(int procfs, std::size_t limit);

struct KernelTask {
  std::uint32_t pid = 0, parent = 0, uid = 0;
  bool kernel_thread = false;
  std::uint64_t start_boot_ns = 0;
  std::string comm;
};
// By the iterator of bpf/tasks.bpf.c. Errors: this kernel or our privileges do not allow it.
Result<std::vector<KernelTask>> ListKernelTasks(std::size_t limit);

struct ProcessViews {
  bool mounted = false, detached = false, kernel = false;
};
// Processes that were not seen from every side that could be looked from, with what was seen: pure.
std::map<std::uint32_t, ProcessViews> CompareViews(const std::vector<std::uint32_t>& mounted,
                                                   const std::vector<std::uint32_t>* detached,
                                                   const std::vector<std::uint32_t>* kernel);

// Looks at one process, in this order: mounted, own procfs, kernel, and all three again.
struct ProcessLooks {
  ProcessViews first, second;
};
// Who does not show it although it was there all the while; nullopt: nobody, or it may have begun
// or ended in between. A side that could not be looked from counts as one that shows it: pure.
std::optional<ProcessViews> HiddenFrom(const ProcessLooks& looks, bool has_detached,
                                       bool has_kernel);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_PROC_VIEW_H_
