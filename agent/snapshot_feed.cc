// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_feed.h"

#include <spdlog/spdlog.h>

namespace culprit {
namespace {

constexpr unsigned kOwnTier = 1;  // what is gone with the host first; the disk may outlive it

}  // namespace

SnapshotFeed::SnapshotFeed(const AgentConfig& config) {
  if (!config.snapshot.enabled) return;
  SnapshotFetchOptions options;
  options.directory = config.SnapshotSpoolDirectory();
  options.program = config.ThisProgram();
  options.arguments = {"snapshot-writer", "--data", config.state_dir, "--metadata",
                       config.identity.endpoint};
  options.max_bytes = config.snapshot.max_bytes;
  options.bytes_per_second = config.snapshot.bytes_per_second;
  auto fetches = SnapshotFetches::Start(std::move(options));
  if (fetches) {
    fetches_ = std::move(*fetches);
    triggers_ = std::make_unique<SnapshotTriggers>(config);
    on_shutdown_ = config.snapshot.on_shutdown;
    on_stop_ = config.snapshot.on_stop;
    OpenCheckpoints(config);
  } else {
    problem_ = "snapshots cannot be taken: " + fetches.error().message;
  }
}

std::optional<ControlAnswer> SnapshotFeed::Ask(SnapshotFetch fetch, const HostFacts& host) {
  if (fetches_) {
    fetches_->Ask(std::move(fetch), host.instance_id, host.hostname);
    return std::nullopt;
  }
  if (fetch.release) return std::nullopt;
  ControlAnswer refusal;
  refusal.request_id = fetch.request_id;
  refusal.subject = ControlSubject::kSnapshot;
  refusal.fault = problem_.empty() ? ControlFault::kDisabled : ControlFault::kFailed;
  refusal.detail =
      problem_.empty() ? "snapshot.enabled is false in the agent's configuration" : problem_;
  return refusal;
}

void SnapshotFeed::Watch(SnapshotWatch watch) {
  if (fetches_) fetches_->Watch(watch);
}

void SnapshotFeed::KnowsHost(const HostFacts& host) {
  if (triggers_) triggers_->KnowsHost(host);
}

void SnapshotFeed::PumpTriggers(const std::function<HostFacts()>& host, bool connected) {
  if (!triggers_) return;
  for (std::string& trigger : triggers_->Take()) {
    HostFacts now = host();
    fetches_->Begin(
        {std::move(trigger), kOwnTier, std::move(now.instance_id), std::move(now.hostname)});
  }
  if (triggers_->holding_shutdown() && !Unfinished(connected)) triggers_->ReleaseShutdown();
}

void SnapshotFeed::OpenCheckpoints(const AgentConfig& config) {
  checkpoint_every_ = config.snapshot.checkpoint;
  if (checkpoint_every_.count() == 0) return;
  auto checkpoints =
      Checkpoints::Start({config.state_dir + "/checkpoints", config.snapshot.checkpoint_bytes});
  if (checkpoints) {
    checkpoints_ = std::move(*checkpoints);
  } else {
    spdlog::warn("no checkpoints are kept error=\"{}\"", checkpoints.error().message);
  }
}

void SnapshotFeed::Checkpoint(BootTime now,
                              const std::function<std::vector<CheckpointProcess>()>& processes) {
  if (!checkpoints_ || now < next_checkpoint_) return;
  next_checkpoint_ = now + checkpoint_every_;
  checkpoints_->Take(processes());
}

bool SnapshotFeed::BeginAtStop(bool host_goes_down, const HostFacts& host) {
  if (!fetches_) return false;
  const bool wanted = on_stop_ || (host_goes_down && on_shutdown_);
  if (wanted && !triggers_->shutdown_told()) {
    fetches_->Begin({host_goes_down ? "the agent stops: the host goes down" : "the agent stops",
                     kOwnTier, host.instance_id, host.hostname});
  }
  return wanted;
}

bool SnapshotFeed::Unfinished(bool connected) const {
  return fetches_ && (fetches_->own_unfinished() > 0 || (connected && fetches_->own_kept() > 0));
}

std::vector<ControlAnswer> SnapshotFeed::TakeAnswers() {
  return fetches_ ? fetches_->Take() : std::vector<ControlAnswer>{};
}

std::vector<std::string> SnapshotFeed::problems() const {
  if (!problem_.empty()) return {problem_};
  std::vector<std::string> problems =
      triggers_ ? triggers_->problems() : std::vector<std::string>{};
  const std::string checkpoint = checkpoints_ ? checkpoints_->problem() : std::string();
  if (!checkpoint.empty()) problems.push_back("checkpoints: " + checkpoint);
  return problems;
}

std::vector<std::pair<std::string, std::uint64_t>> SnapshotFeed::counters() const {
  if (!fetches_) return {};
  std::vector<std::pair<std::string, std::uint64_t>> counters = {
      {"snapshots begun", fetches_->begun()},
      {"snapshots begun by the agent itself", fetches_->own_begun()},
      {"snapshots that could not be begun", fetches_->own_dropped()},
      {"snapshots handed over", fetches_->handed_over()},
      {"questions about snapshots refused", fetches_->refused()}};
  for (auto& counter : triggers_->counters()) counters.push_back(std::move(counter));
  if (checkpoints_) {
    counters.emplace_back("checkpoints", checkpoints_->taken());
    counters.emplace_back("checkpoints without a change", checkpoints_->unchanged());
    counters.emplace_back("microseconds of checkpoints", checkpoints_->cpu_us());
  }
  return counters;
}

}  // namespace culprit
