// SPDX-License-Identifier: Apache-2.0
#include "agent/posture_feed.h"

#include "common/log.h"

namespace culprit {
namespace {

constexpr std::chrono::hours kStateEvery(1);
constexpr std::size_t kMaxChanges = 4'096;
constexpr std::size_t kMaxListeners = 4'096;

}  // namespace

PostureFeed::PostureFeed(Enricher& enricher) : enricher_(enricher) {
  auto watcher = PostureWatcher::Start();
  if (watcher) {
    watcher_ = std::move(*watcher);
  } else {
    failure_ = watcher.error().message;
    spdlog::warn("SSH is not watched error={}", failure_);
  }
}

void PostureFeed::On(const Event& event) {
  const auto* flow = std::get_if<FlowEvent>(&event);
  if (flow == nullptr || flow->direction != Direction::kListen || !watcher_) return;
  // Sockets are told again with every pass over all of them.
  if (listeners_.size() >= kMaxListeners) listeners_.clear();
  if (listeners_.insert(flow->cookie).second) watcher_->OnListen(flow->owner.tgid.value());
}

bool PostureFeed::Take() {
  if (!watcher_) return false;
  for (PostureNews& news : watcher_->Take()) taken_.push_back(std::move(news));
  return !taken_.empty();
}

void PostureFeed::Attribute(BootTime now) {
  for (PostureNews& news : std::exchange(taken_, {})) {
    for (PostureChangeFacts& change : news.changes) {
      if (change.pid != 0) change.process = enricher_.ProcessAt(Tgid(change.pid), change.at);
      if (changes_.size() >= kMaxChanges) {
        ++dropped_;
      } else {
        changes_.push_back(std::move(change));
      }
    }
    for (SshServerFacts& server : news.state.servers)
      server.process = enricher_.ProcessAt(Tgid(server.pid), news.state.at);
    state_ = std::move(news.state);
    state_due_ = true;
  }
  if (state_ && now - state_at_ >= kStateEvery) state_due_ = true;
  if (state_due_) state_at_ = now;
}

bool PostureFeed::Fill(RecordBatch* batch) const {
  if (state_due_) batch->posture = state_;
  batch->posture_changes = changes_;
  return state_due_ || !changes_.empty();
}

void PostureFeed::Sent() {
  state_due_ = false;
  changes_.clear();
}

std::string PostureFeed::note() const { return watcher_ ? watcher_->note() : failure_; }

std::vector<std::pair<std::string, std::uint64_t>> PostureFeed::counters() const {
  if (!watcher_) return {};
  const PostureWatcherStats stats = watcher_->stats();
  return {{"looks at SSH", stats.looks},
          {"looks at SSH, microseconds of CPU", stats.look_us},
          {"looks at SSH after a lost event", stats.overflows},
          {"changes of SSH not told", dropped_}};
}

}  // namespace culprit
