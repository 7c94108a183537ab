// SPDX-License-Identifier: Apache-2.0
// A row of a VPC flow log -> the flow of a host, and so the process, that it is about.
// Stage: answer. Pure. Thread: values.
#ifndef CULPRIT_COLLECTOR_ANSWER_FLOW_LOG_JOIN_H_
#define CULPRIT_COLLECTOR_ANSWER_FLOW_LOG_JOIN_H_

#include <vector>

#include "collector/answer/own_hosts.h"
#include "common/vpc_flow_log.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

// Which end of a row is a host's of ours, and which is not.
struct RowEnds {
  Endpoint local, remote;
};
RowEnds EndsOf(const VpcFlowRow& row, const OwnHosts& own);

// What to ask of the index for a row. The clocks of a host and of AWS may be kJoinSlack apart.
inline constexpr std::int64_t kJoinSlack = 5;  // s
v1::ListFlowsRequest JoinRequest(const VpcFlowRow& row, const RowEnds& ends);

struct JoinedRow {
  VpcFlowRow row;
  RowEnds ends;
  std::vector<v1::FlowRow> flows;  // the one that overlaps longest first
  bool exact = false;              // both ports; else a NAT may have changed ours
};
JoinedRow JoinRow(const VpcFlowRow& row, const RowEnds& ends, std::vector<v1::FlowRow> flows);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ANSWER_FLOW_LOG_JOIN_H_
