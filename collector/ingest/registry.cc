// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/registry.h"

namespace culprit {

Registry::Registry(const std::vector<LaneHead>& heads) {
  for (const LaneHead& head : heads) {
    const auto agent = Find(head.agent_id);
    if (agent != nullptr) agent->sequence.Load(head);
  }
}

std::shared_ptr<Agent> Registry::Find(const Uuid& agent_id) {
  const std::lock_guard lock(mutex_);
  const auto found = agents_.find(agent_id);
  if (found != agents_.end()) return found->second;
  if (agents_.size() >= kMaxAgents) return nullptr;
  auto agent = std::make_shared<Agent>();
  agent->stats.agent_id = agent_id;
  agents_.emplace(agent_id, agent);
  return agent;
}

void Registry::CountRefusal(std::string_view reason) {
  const std::lock_guard lock(mutex_);
  ++refusals_[std::string(reason)];
}

IngestStats Registry::Snapshot() const {
  IngestStats out;
  std::vector<std::shared_ptr<Agent>> agents;
  {
    const std::lock_guard lock(mutex_);
    out.refusals = refusals_;
    agents.reserve(agents_.size());
    for (const auto& [id, agent] : agents_) agents.push_back(agent);
  }
  out.agents.reserve(agents.size());
  for (const auto& agent : agents) {
    const std::lock_guard lock(agent->mutex);
    AgentIngestStats& told = out.agents.emplace_back(agent->stats);
    told.stream_id = agent->sequence.announced_stream();
    told.durable_evidence = agent->sequence.Durable(told.stream_id, Lane::kEvidence).seq;
    told.durable_bulk = agent->sequence.Durable(told.stream_id, Lane::kBulk).seq;
    const AgentIngestStats& s = agent->stats;
    out.agents_connected += s.connected ? 1 : 0;
    out.frames_accepted += s.frames;
    out.frames_duplicate += s.duplicates;
    out.frames_rejected += s.rejected_frames;
    out.records_accepted += s.records - s.rejected_records;
    out.records_rejected += s.rejected_records;
  }
  return out;
}

}  // namespace culprit
