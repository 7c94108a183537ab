// SPDX-License-Identifier: Apache-2.0
// Gives up what a child of the sensor does not need: root, capabilities, new privileges, core
// dumps, ptrace by equals. Stage: process (edge), in the child, before any thread is started.
#ifndef CULPRIT_AGENT_PROCESS_PRIVILEGES_H_
#define CULPRIT_AGENT_PROCESS_PRIVILEGES_H_

#include <string>

#include "common/result.h"

namespace culprit {

// Becomes `user` if this is root; without root only the rest is done. Ties the process to its
// parent's life. Errors: unknown user, or a step that the kernel refused: then the child
// must end.
Status DropPrivileges(const std::string& user, int parent_pid);

}  // namespace culprit

#endif  // CULPRIT_AGENT_PROCESS_PRIVILEGES_H_
