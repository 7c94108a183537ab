// SPDX-License-Identifier: Apache-2.0
// What of the agent's configuration can change while it runs. Stage: wiring. Thread: values.
#ifndef CULPRIT_AGENT_RELOAD_H_
#define CULPRIT_AGENT_RELOAD_H_

#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/stream/sender_link.h"

namespace culprit {

// Takes from `file` what can change in a running agent. Returns the keys that differ still.
std::vector<std::string> AdoptLive(const AgentConfig& file, AgentConfig* config);

// The same for two sets of options under which a sender does the same: content of the certificates
// included.
std::string SenderMark(const SenderOptions& options);

}  // namespace culprit

#endif  // CULPRIT_AGENT_RELOAD_H_
