// SPDX-License-Identifier: Apache-2.0
// What ingest keeps of each agent between connections: its sequence, its counters, and which
// session is the live one.
//
// Stage: ingest. Pure apart from its locks: no I/O, no gRPC. Thread: any. Lock order: Agent::mutex,
// then Registry's.
#ifndef CULPRIT_COLLECTOR_INGEST_REGISTRY_H_
#define CULPRIT_COLLECTOR_INGEST_REGISTRY_H_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/ingest/sequence.h"
#include "collector/journal/journal.h"
#include "collector/model/ingest_stats.h"
#include "common/ids.h"
#include "common/rate_limit.h"

namespace culprit {

class IngestSession;

struct Agent {
  std::mutex mutex;
  std::condition_variable settled;  // a journalled frame was settled, or the live session changed
  // All below under the mutex.
  AgentSequence sequence;
  AgentIngestStats stats;
  std::weak_ptr<IngestSession> live;
  std::optional<RateLimit> rate;  // made by the first session
};

class Registry {
 public:
  static constexpr std::size_t kMaxAgents = 100'000;

  explicit Registry(const std::vector<LaneHead>& heads);
  // Makes the agent's entry at its first visit. nullptr above kMaxAgents. Entries are never
  // removed.
  std::shared_ptr<Agent> Find(const Uuid& agent_id);
  void CountRefusal(std::string_view reason);
  IngestStats Snapshot() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<Uuid, std::shared_ptr<Agent>> agents_;
  std::map<std::string, std::uint64_t> refusals_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_REGISTRY_H_
