// SPDX-License-Identifier: Apache-2.0
// What makes the agent begin a snapshot by itself: notices of the cloud, and the host that goes
// down. Stage: wiring. Thread: the loop's; what is waited for is on threads of its own. Failure:
// problems() and shutdown_note(); the triggers that are there work.
#ifndef CULPRIT_AGENT_SNAPSHOT_TRIGGERS_H_
#define CULPRIT_AGENT_SNAPSHOT_TRIGGERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/cloud_notices.h"
#include "agent/config.h"
#include "agent/model/record.h"
#include "agent/source/shutdown_watch.h"
#include "common/unique_fd.h"

namespace culprit {

class SnapshotTriggers {
 public:
  explicit SnapshotTriggers(const AgentConfig& config);

  // Once the metadata service has said who this is, it is asked for notices, too.
  void KnowsHost(const HostFacts& host);
  // Readable when Take() has something, or a shutdown that was held back is not any more.
  int poll_fd() const { return wake_.get(); }
  // What each new snapshot is to be begun for.
  std::vector<std::string> Take();

  // The shutdown of the host waits for what was begun for it.
  bool holding_shutdown() const;
  void ReleaseShutdown();
  // Whether what began for the shutdown of this host counts for its end, too.
  bool shutdown_told() const { return shutdown_told_; }
  // Of the inhibitor: empty = in place, or switched off.
  std::string shutdown_note() const;
  bool watches_shutdown() const { return shutdown_ != nullptr; }

  std::vector<std::string> problems() const;
  std::vector<std::pair<std::string, std::uint64_t>> counters() const;

 private:
  void Wake() const;

  const AgentConfig::Snapshot settings_;
  const std::string endpoint_, seen_path_;
  UniqueFd wake_;
  bool shutdown_told_ = false;
  std::unique_ptr<CloudNotices> cloud_;      // null: not on EC2, or switched off
  std::unique_ptr<ShutdownWatch> shutdown_;  // null: switched off
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_TRIGGERS_H_
