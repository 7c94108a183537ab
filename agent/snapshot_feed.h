// SPDX-License-Identifier: Apache-2.0
// Snapshots that the collector asks for, beside the pipeline: starts what takes them as configured.
// Stage: wiring. Thread: the loop's. Failure: without it everything else goes on; problems() says
// why.
#ifndef CULPRIT_AGENT_SNAPSHOT_FEED_H_
#define CULPRIT_AGENT_SNAPSHOT_FEED_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "agent/model/record.h"
#include "agent/snapshot/snapshot_fetches.h"

namespace culprit {

class SnapshotFeed {
 public:
  // Off by configuration: refuses, and has no problems.
  explicit SnapshotFeed(const AgentConfig& config);

  // The answers come by TakeAnswers(), or at once where there can be none but a refusal. `host`
  // goes into a bundle that this begins.
  std::optional<ControlAnswer> Ask(SnapshotFetch fetch, const HostFacts& host);
  int answers_fd() const { return fetches_ ? fetches_->poll_fd() : -1; }
  std::vector<ControlAnswer> TakeAnswers();
  int collecting_pid() const { return fetches_ ? fetches_->collecting_pid() : -1; }

  std::vector<std::string> problems() const;
  std::vector<std::pair<std::string, std::uint64_t>> counters() const;

 private:
  std::unique_ptr<SnapshotFetches> fetches_;  // null: off, or it could not start
  std::string problem_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_FEED_H_
