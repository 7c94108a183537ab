// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_feed.h"

namespace culprit {

SnapshotFeed::SnapshotFeed(const AgentConfig& config) {
  if (!config.snapshot.enabled) return;
  SnapshotFetchOptions options;
  options.directory = config.SnapshotSpoolDirectory();
  options.program = config.ThisProgram();
  options.arguments = {"snapshot-writer", "--data", config.state_dir};
  options.max_bytes = config.snapshot.max_bytes;
  options.bytes_per_second = config.snapshot.bytes_per_second;
  auto fetches = SnapshotFetches::Start(std::move(options));
  if (fetches) {
    fetches_ = std::move(*fetches);
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

std::vector<ControlAnswer> SnapshotFeed::TakeAnswers() {
  return fetches_ ? fetches_->Take() : std::vector<ControlAnswer>{};
}

std::vector<std::string> SnapshotFeed::problems() const {
  return problem_.empty() ? std::vector<std::string>{} : std::vector<std::string>{problem_};
}

std::vector<std::pair<std::string, std::uint64_t>> SnapshotFeed::counters() const {
  if (!fetches_) return {};
  return {{"snapshots begun", fetches_->begun()},
          {"snapshots handed over", fetches_->handed_over()},
          {"questions about snapshots refused", fetches_->refused()}};
}

}  // namespace culprit
