// SPDX-License-Identifier: Apache-2.0
// The SSH of this host beside the pipeline: what the watcher found, with the processes behind it by
// their ids, as batches of evidence.
//
//   PostureWatcher (its thread) -> Take() -> Attribute() -> Enricher::ProcessAt -> RecordBatch
//
// Stage: wiring. Thread: the loop's. Failure: without a watcher everything else goes on; note()
// says why.
#ifndef CULPRIT_AGENT_POSTURE_FEED_H_
#define CULPRIT_AGENT_POSTURE_FEED_H_

#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "agent/enrich/enricher.h"
#include "agent/model/event.h"
#include "agent/model/record.h"
#include "agent/posture/posture_watcher.h"

namespace culprit {

class PostureFeed {
 public:
  // `enricher` outlives the feed.
  explicit PostureFeed(Enricher& enricher);

  int poll_fd() const { return watcher_ ? watcher_->poll_fd() : -1; }
  void On(const Event& event);
  // Takes what is new; false: nothing waits for Attribute().
  bool Take();
  // Names the processes behind what was taken. All that the kernel had told by the time of Take()
  // is to be applied to the enricher first: else a process that has just begun is not known, or is
  // taken for what it was before its exec. The state is told hourly as well.
  void Attribute(BootTime now);
  // The collector may not have what it was told: the state goes out again.
  void ForgetSent() { state_due_ = state_.has_value(); }
  // What is to be sent next; false: nothing. Rows stay until Sent().
  bool Fill(RecordBatch* batch) const;
  void Sent();

  bool active() const { return watcher_ != nullptr; }
  std::string note() const;
  std::vector<std::pair<std::string, std::uint64_t>> counters() const;

 private:
  Enricher& enricher_;
  std::unique_ptr<PostureWatcher> watcher_;
  std::string failure_;
  std::vector<PostureNews> taken_;
  std::optional<PostureFacts> state_;
  std::unordered_set<SocketCookie> listeners_;  // that the watcher knows
  std::vector<PostureChangeFacts> changes_;
  bool state_due_ = false;
  BootTime state_at_;
  std::uint64_t dropped_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_FEED_H_
