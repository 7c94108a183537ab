// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_triggers.h"

#include <sys/eventfd.h>

namespace culprit {

SnapshotTriggers::SnapshotTriggers(const AgentConfig& config)
    : settings_(config.snapshot),
      endpoint_(config.identity.endpoint),
      seen_path_(config.state_dir + "/notices"),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!settings_.on_shutdown) return;
  ShutdownWatchOptions options;
  options.wake = [this] { Wake(); };
  shutdown_ = std::make_unique<ShutdownWatch>(std::move(options));
}

void SnapshotTriggers::Wake() const { eventfd_write(wake_.get(), 1); }

void SnapshotTriggers::KnowsHost(const HostFacts& host) {
  if (cloud_ || settings_.notices.count() == 0 || host.identity_source != "imds") return;
  CloudNoticesOptions options;
  options.endpoint = endpoint_;
  options.instance_id = host.instance_id;
  options.seen_path = seen_path_;
  options.interval = settings_.notices;
  options.wake = [this] { Wake(); };
  cloud_ = std::make_unique<CloudNotices>(std::move(options));
}

std::vector<std::string> SnapshotTriggers::Take() {
  eventfd_t wakes = 0;
  eventfd_read(wake_.get(), &wakes);
  std::vector<std::string> triggers;
  if (cloud_) {
    for (CloudNotice& notice : cloud_->Take()) triggers.push_back(std::move(notice.trigger));
  }
  if (shutdown_) {
    const bool going_down = shutdown_->going_down();
    if (going_down && !shutdown_told_) triggers.emplace_back("the host goes down (logind)");
    shutdown_told_ = going_down;
  }
  return triggers;
}

bool SnapshotTriggers::holding_shutdown() const {
  return shutdown_told_ && shutdown_ && shutdown_->holding();
}

void SnapshotTriggers::ReleaseShutdown() {
  if (shutdown_) shutdown_->Release();
}

std::string SnapshotTriggers::shutdown_note() const {
  return shutdown_ ? shutdown_->problem() : std::string();
}

std::vector<std::string> SnapshotTriggers::problems() const {
  const std::string cloud = cloud_ ? cloud_->problem() : std::string();
  if (cloud.empty()) return {};
  return {"notices of the cloud: " + cloud};
}

std::vector<std::pair<std::string, std::uint64_t>> SnapshotTriggers::counters() const {
  if (!cloud_) return {};
  return {{"questions about notices of the cloud", cloud_->asked()}};
}

}  // namespace culprit
