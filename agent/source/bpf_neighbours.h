// SPDX-License-Identifier: Apache-2.0
// Neighbours: programs of others on a hook that the agent is about to use (systemd, container
// networks, another agent). They see the traffic too, and one that denies a packet decides for all.
// Stage: agent/source (edge: libbpf).
#ifndef CULPRIT_AGENT_SOURCE_BPF_NEIGHBOURS_H_
#define CULPRIT_AGENT_SOURCE_BPF_NEIGHBOURS_H_

#include <bpf/libbpf.h>

#include <string>

namespace culprit {

// "beside sd_fw_egress (id 12), ..." for what is attached to the control group where `program`
// would be; empty where nothing is, or where the kernel does not tell.
std::string NeighboursOf(const bpf_program* program, int cgroup_fd);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_BPF_NEIGHBOURS_H_
