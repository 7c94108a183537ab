// SPDX-License-Identifier: Apache-2.0
// Whether the host is about to go down, as systemd says: an agent that ends with its host is no
// agent that was switched off. Stage: source (edge: systemd's private socket). Thread: any; blocks
// for a second at most. Failure: nobody to ask, or no answer, is no.
#ifndef CULPRIT_AGENT_SOURCE_HOST_SHUTDOWN_H_
#define CULPRIT_AGENT_SOURCE_HOST_SHUTDOWN_H_

#include <string>

namespace culprit {

bool HostGoesDown(const std::string& socket = "/run/systemd/private");

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_HOST_SHUTDOWN_H_
