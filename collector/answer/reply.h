// SPDX-License-Identifier: Apache-2.0
// The draft of an answer to AWS: what the evidence says, and gaps for what only the operator knows.
// Stage: answer. Pure. Thread: values.
#ifndef CULPRIT_COLLECTOR_ANSWER_REPLY_H_
#define CULPRIT_COLLECTOR_ANSWER_REPLY_H_

#include <string>
#include <vector>

#include "collector/answer/match.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

struct Culprit {
  ProcessMatch match;
  v1::GetProcessResponse process;           // empty: not known (any more)
  std::vector<v1::FlowGroup> destinations;  // what it touched, biggest first
  v1::HostRow host;
  std::vector<v1::Finding> findings;  // that name the process or its flows
};

// In UTC, plain text. Claims no measure that the operator did not take.
std::string DraftReply(const AbuseReport& report, const Culprit& culprit);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ANSWER_REPLY_H_
