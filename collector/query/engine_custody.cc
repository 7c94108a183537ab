// SPDX-License-Identifier: Apache-2.0
// QueryEngine: how far the evidence of a host has arrived.
#include <algorithm>

#include "collector/query/engine.h"

namespace culprit {

Result<v1::EvidenceHead> QueryEngine::GetEvidenceHead(
    const v1::GetEvidenceHeadRequest& request) const {
  auto id = Uuid::Parse(request.agent_id());
  if (!id) return std::move(id).error().Context("agent_id");
  const IngestStats stats = deps_.activity == nullptr ? IngestStats() : deps_.activity->Read();
  const auto agent = std::ranges::find(stats.agents, *id, &AgentIngestStats::agent_id);
  if (agent == stats.agents.end())
    return NotFound("no agent " + request.agent_id() + " has sent anything to this collector");
  v1::EvidenceHead head;
  head.set_agent_id(id->ToString());
  head.set_connected(agent->connected);
  if (agent->stream_id == Uuid{}) return head;
  head.set_stream_id(agent->stream_id.ToString());
  head.set_evidence_seq(agent->durable_evidence);
  head.set_bulk_seq(agent->durable_bulk);
  return head;
}

}  // namespace culprit
