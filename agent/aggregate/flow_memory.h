// SPDX-License-Identifier: Apache-2.0
// FlowMemory: what the aggregator has charged to whom, kept outside the process, so that an agent
// that is killed and started again goes on counting where it was. Stage: aggregate (port;
// agent/flow_memory_file.h is behind it). Thread: the aggregator's. Failure: none is told; what is
// not remembered begins anew.
#ifndef CULPRIT_AGENT_AGGREGATE_FLOW_MEMORY_H_
#define CULPRIT_AGENT_AGGREGATE_FLOW_MEMORY_H_

#include <cstdint>

#include "agent/model/event.h"
#include "common/ids.h"
#include "common/time.h"

namespace culprit {

// What one process was charged of one flow.
struct RememberedPart {
  FlowId flow;
  ProcessId process;
  BootTime start;
  FlowTotals totals;
  std::uint64_t order = 0;  // higher = written later; set by the memory
  friend bool operator==(const RememberedPart&, const RememberedPart&) = default;
};

class FlowMemory {
 public:
  virtual ~FlowMemory() = default;
  // In place of what was kept for (flow, process). Called before the row that tells of it is given
  // out, so that what is kept is never less than what was told.
  virtual void Put(const RememberedPart& part) = 0;
  virtual void Forget(FlowId flow) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGGREGATE_FLOW_MEMORY_H_
