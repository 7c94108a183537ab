// SPDX-License-Identifier: Apache-2.0
// ProcView: a HostView by /proc. Stage: posture, edge. Thread: one caller. What belongs to other
// users needs root; without, their processes are not found. Bounded: 100,000 processes, 65,536
// sockets of a network namespace.
#ifndef CULPRIT_AGENT_POSTURE_PROC_VIEW_H_
#define CULPRIT_AGENT_POSTURE_PROC_VIEW_H_

#include <memory>
#include <string>

#include "agent/posture/host_view.h"

namespace culprit {

// `proc`: "/proc", or a tree of a test.
std::unique_ptr<HostView> OpenProcView(const std::string& proc);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_PROC_VIEW_H_
