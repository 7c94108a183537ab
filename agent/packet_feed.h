// SPDX-License-Identifier: Apache-2.0
// The packet ring beside the pipeline: starts it as configured, and tells it which flows and
// processes batches are about, so that packets carry their names. Stage: wiring. Thread: the
// loop's. Failure: without a ring everything else goes on; problems() says why.
#ifndef CULPRIT_AGENT_PACKET_FEED_H_
#define CULPRIT_AGENT_PACKET_FEED_H_

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "agent/model/record.h"
#include "agent/ring/ring.h"

namespace culprit {

class PacketFeed {
 public:
  // `version` is written into the files. Off by configuration: does nothing and has no problems.
  PacketFeed(const AgentConfig& config, const std::string& version);

  // Processes are defined before the first row that refers to them.
  void Take(const RecordBatch& batch);
  std::vector<std::string> problems() const;
  std::vector<std::pair<std::string, std::uint64_t>> counters() const;

 private:
  static constexpr std::size_t kMaxNames = 32'768;
  struct Name {
    Tgid tgid;
    std::string comm;
  };

  void Take(const ProcessFacts& process);
  void Take(const FlowRow& row);

  std::unique_ptr<PacketRing> ring_;  // null: off, or it could not start
  std::string problem_;
  std::unordered_map<ProcessId, Name> names_;
  std::deque<ProcessId> name_order_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_PACKET_FEED_H_
