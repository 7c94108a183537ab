// SPDX-License-Identifier: Apache-2.0
// The sweep over the kernel's tables of peers, forwarded flows, processes and ends that found the
// ring full: delivers what changed and takes out what is over. Stage: source (edge). Thread: that of BpfSource.
#ifndef CULPRIT_AGENT_SOURCE_BPF_SWEEP_H_
#define CULPRIT_AGENT_SOURCE_BPF_SWEEP_H_

#include "agent/source/bpf_loader.h"
#include "agent/source/bpf_tables.h"
#include "agent/source/source.h"
#include "common/result.h"

namespace culprit {

// Flows first: reading them charges the processes, which are read last.
Status SweepTables(const LoadedPrograms& loaded, BpfTables& tables, const RecordSink& sink);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_BPF_SWEEP_H_
