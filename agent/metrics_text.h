// SPDX-License-Identifier: Apache-2.0
// The agent's metrics, as Prometheus reads them: asked for over the status socket, or written to a
// file for the node exporter. The sensor is privileged, so it listens on no network for this.
// Stage: wiring; StatusMetrics() is pure. Thread: any. Bounded: labels are names of hooks, causes
// and processes of the agent itself.
#ifndef CULPRIT_AGENT_METRICS_TEXT_H_
#define CULPRIT_AGENT_METRICS_TEXT_H_

#include <string>
#include <string_view>

#include "agent/status.h"
#include "common/result.h"

namespace culprit {

std::string StatusMetrics(const AgentStatus& status);

// Replaces the file as a whole, readable by everybody; its directory may belong to somebody else.
Status WriteTextfile(const std::string& path, std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_AGENT_METRICS_TEXT_H_
