// SPDX-License-Identifier: Apache-2.0
// What the daemon needs of its surroundings: signals as a descriptor, privileges, memory.
// Stage: wiring (edge). Thread: from main, before other threads start.
#ifndef CULPRIT_AGENT_DAEMON_H_
#define CULPRIT_AGENT_DAEMON_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

// SIGTERM, SIGINT and (unless something else is done with it) SIGHUP make the descriptor readable
// instead of ending the process; SIGPIPE is ignored.
Result<UniqueFd> StopSignals(bool hangup = true);
// SIGHUP alone.
Result<UniqueFd> ReloadSignal();

// Names of the capabilities that capture needs and `status` (text of /proc/self/status) does not
// grant.
std::vector<std::string> MissingCapabilities(std::string_view status);
// Errors: what is missing, how to get it, and what works without.
Status CheckPrivileges();

// Few arenas and early return of memory: the sensor allocates on one thread.
void KeepMemorySmall();

}  // namespace culprit

#endif  // CULPRIT_AGENT_DAEMON_H_
