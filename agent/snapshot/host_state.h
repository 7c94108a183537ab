// SPDX-License-Identifier: Apache-2.0
// State of the host that is in no process: clocks, kernel, modules, loaded BPF programs, who is
// logged in. Stage: snapshot (edge: procfs, sysfs, bpf). Thread: a collector's.
#ifndef CULPRIT_AGENT_SNAPSHOT_HOST_STATE_H_
#define CULPRIT_AGENT_SNAPSHOT_HOST_STATE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/snapshot/evidence.h"
#include "agent/snapshot/host_files.h"

namespace culprit {

// Table clocks. First and last of all, since every other time is relative to them.
void CollectClocks(Evidence& evidence, const HostFiles& host, std::string_view when);
// Tables modules and kernel, texts of /proc, the last of the kernel's log.
void CollectKernel(Evidence& evidence, const HostFiles& host);
// Table bpf: programs, maps and links that are loaded, ours too.
void CollectBpf(Evidence& evidence);
// Table sessions: utmp and what logind keeps.
void CollectSessions(Evidence& evidence, const HostFiles& host);

// Rows of utmp, wtmp or btmp: pure, total.
std::vector<Row> UtmpRows(std::string_view bytes, std::size_t limit);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_HOST_STATE_H_
