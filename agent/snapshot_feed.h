// SPDX-License-Identifier: Apache-2.0
// Snapshots that the collector asks for, and those that the agent begins by itself, beside the
// pipeline: starts what takes them as configured.
// Stage: wiring. Thread: the loop's. Failure: without it everything else goes on; problems() says
// why.
#ifndef CULPRIT_AGENT_SNAPSHOT_FEED_H_
#define CULPRIT_AGENT_SNAPSHOT_FEED_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "agent/model/record.h"
#include "agent/snapshot/checkpoints.h"
#include "agent/snapshot/snapshot_fetches.h"
#include "agent/snapshot_triggers.h"

namespace culprit {

class SnapshotFeed {
 public:
  // Off by configuration: refuses, and has no problems.
  explicit SnapshotFeed(const AgentConfig& config);

  // The answers come by TakeAnswers(), or at once where there can be none but a refusal. `host`
  // goes into a bundle that this begins.
  std::optional<ControlAnswer> Ask(SnapshotFetch fetch, const HostFacts& host);
  void Watch(SnapshotWatch watch);

  // Who this host is, as soon as that is known better.
  void KnowsHost(const HostFacts& host);
  int triggers_fd() const { return triggers_ ? triggers_->poll_fd() : -1; }
  // Begins what has been triggered; lets a shutdown go on once its snapshot is taken, and stored if
  // a collector is there (`connected`).
  void PumpTriggers(const std::function<HostFacts()>& host, bool connected);
  // At the end of a run: begins one if that is wanted and was not done yet. True: Unfinished() is
  // worth waiting for.
  bool BeginAtStop(bool host_goes_down, const HostFacts& host);
  bool Unfinished(bool connected) const;
  // The inhibitor against shutdowns, for the status; the note says why it is not in place.
  bool watches_shutdown() const { return triggers_ && triggers_->watches_shutdown(); }
  std::string shutdown_note() const { return triggers_ ? triggers_->shutdown_note() : ""; }

  // Keeps how this host is now, if it is time for that; `processes` is asked only then.
  void Checkpoint(BootTime now, const std::function<std::vector<CheckpointProcess>()>& processes);

  int answers_fd() const { return fetches_ ? fetches_->poll_fd() : -1; }
  std::vector<ControlAnswer> TakeAnswers();
  int collecting_pid() const { return fetches_ ? fetches_->collecting_pid() : -1; }

  std::vector<std::string> problems() const;
  std::vector<std::pair<std::string, std::uint64_t>> counters() const;

 private:
  void OpenCheckpoints(const AgentConfig& config);

  std::unique_ptr<SnapshotFetches> fetches_;    // null: off, or it could not start
  std::unique_ptr<SnapshotTriggers> triggers_;  // null: likewise
  std::unique_ptr<Checkpoints> checkpoints_;    // null: likewise, or switched off
  std::chrono::milliseconds checkpoint_every_{0};
  BootTime next_checkpoint_;
  bool on_shutdown_ = false, on_stop_ = false;
  std::string problem_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_FEED_H_
