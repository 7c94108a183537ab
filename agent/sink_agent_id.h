// SPDX-License-Identifier: Apache-2.0
// Who this agent is where no collector says so: an id that is made once and kept beside the spool.
// Stage: wiring (edge: a file). Thread: the caller's.
#ifndef CULPRIT_AGENT_SINK_AGENT_ID_H_
#define CULPRIT_AGENT_SINK_AGENT_ID_H_

#include <string>

#include "common/ids.h"
#include "common/result.h"

namespace culprit {

// STATE_DIR/sink-agent, made at the first call. Errors: cannot be read or written, or is no id.
Result<Uuid> SinkAgentId(const std::string& state_dir);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SINK_AGENT_ID_H_
