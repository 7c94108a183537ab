// SPDX-License-Identifier: Apache-2.0
// Whether a host may go: what was asked and answered, against what must hold, each with its reason
// and what to do.
//
// Stage: cli, pure. Thread: values.
#ifndef CULPRIT_COLLECTOR_CLI_TEARDOWN_CHECKS_H_
#define CULPRIT_COLLECTOR_CLI_TEARDOWN_CHECKS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/cli/render.h"
#include "common/cloud_facts.h"
#include "common/result.h"
#include "culprit/v1/query.pb.h"
#include "culprit/v1/report.pb.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit::cli {

// How far the agent had written its own evidence when the snapshot began.
struct AgentPosition {
  std::string stream_id;
  std::uint64_t evidence_seq = 0, bulk_seq = 0;
};
// Of live/agent-status.json in a bundle: a hostile host wrote it. Errors: kDataLoss.
Result<AgentPosition> ParseAgentPosition(std::string_view json);

struct TeardownFacts {
  v1::HostRow host;  // as of the end
  std::optional<v1::Snapshot> snapshot;
  std::string snapshot_problem;  // why there is none, or why it is not final
  std::optional<AgentPosition> agent;
  CloudFacts cloud;  // out of the snapshot
  std::string agent_problem;
  v1::EvidenceHead head;
  std::vector<std::string> collector_degraded;
  std::string disk_snapshot;        // of the operator: "snap-0123…"
  bool disk_not_preserved = false;  // he said so
  std::string accepted_gaps;        // why he takes the evidence with its gaps
  std::int64_t now_ns = 0;          // wall clock
};

struct TeardownCheck {
  std::string name;
  bool good = false;
  std::string text, remedy;
  bool warning = false;  // good, and still something to do first
};
// In the order in which they are told. All good: safe to terminate.
std::vector<TeardownCheck> CheckTeardown(const TeardownFacts& facts);
// Whether all that the agent had written by then has arrived.
bool HasArrived(const AgentPosition& agent, const v1::EvidenceHead& head);

std::string RenderTeardown(const std::vector<TeardownCheck>& checks, const View& view);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_TEARDOWN_CHECKS_H_
