// SPDX-License-Identifier: Apache-2.0
// Flows and groups of flows out of the parts' rows.
// Stage: store. Thread: one query. Bounded: kResourceExhausted when an answer needs more than `max_groups` entries.
#ifndef CULPRIT_COLLECTOR_STORE_AGGREGATE_H_
#define CULPRIT_COLLECTOR_STORE_AGGREGATE_H_

#include <functional>
#include <vector>

#include "collector/store/part_scan.h"

namespace culprit {

struct AggregateContext {
  std::vector<SharedPart> parts;  // newest first
  const Cancelled& cancelled;
  std::size_t max_groups = 0;
  // User and executable of a process.
  std::function<SharedProcess(const HostProcess&)> process;
  std::function<std::string(std::uint32_t host)> agent_id;
};

Result<AggregateResult> AggregateFlows(const AggregatePlan& plan, const AggregateContext& context);

// Sums a flow up from its newest row backwards, over all parts.
class FlowReader {
 public:
  explicit FlowReader(const std::vector<SharedPart>& parts) : parts_(parts) {}
  // nullopt = the row is gone (retention).
  Result<std::optional<FlowKey>> KeyAt(RowPosition at);
  Result<std::optional<FlowTotal>> Read(RowPosition newest, const Window& window);

 private:
  struct OpenPart {
    std::unique_ptr<PartFile::Lease> db;
    SqliteStatement row, carried;
  };
  Result<OpenPart*> Part(std::uint64_t id);
  Result<RowPosition> Before(OpenPart* part, std::uint64_t id, const StoredFlow& flow);

  const std::vector<SharedPart>& parts_;
  std::map<std::uint64_t, OpenPart> open_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_AGGREGATE_H_
