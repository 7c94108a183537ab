// SPDX-License-Identifier: Apache-2.0
// CloudNotices: asks the EC2 metadata service again and again whether the instance is about to be
// taken away: spot interruption, rebalance recommendation, scheduled events, Auto Scaling's target
// state. Each notice is given once, also over restarts of the agent.
//
// Cheap: what can come at short notice is asked for every `interval` (the interruption of a spot
// instance, the state in an Auto Scaling group that there is), everything else every kCalm of them.
//
// Stage: wiring (edge: HTTP, a file). Thread: one of its own; methods from any. Failure: problem();
// it goes on asking.
#ifndef CULPRIT_AGENT_CLOUD_NOTICES_H_
#define CULPRIT_AGENT_CLOUD_NOTICES_H_

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/cloud_notice.h"
#include "agent/imds/imds.h"

namespace culprit {

struct CloudNoticesOptions {
  std::string endpoint, instance_id;
  std::string seen_path;  // what was given already; empty: not kept
  std::chrono::milliseconds interval = std::chrono::seconds(5);
  std::chrono::milliseconds timeout = std::chrono::seconds(1);  // of one exchange
  std::function<void()> wake;                                   // something was found; any thread
};

class CloudNotices {
 public:
  static constexpr int kCalm = 12;
  static constexpr std::size_t kMaxSeen = 256;

  explicit CloudNotices(CloudNoticesOptions options);
  ~CloudNotices();

  std::vector<CloudNotice> Take();
  // Why the last round failed; empty if it did not.
  std::string problem() const;
  std::uint64_t asked() const;

 private:
  void Run(const std::stop_token& stop);
  // One pass over what is due.
  Status Round(int round);
  Status Ask(NoticeKind kind);
  bool IsDue(NoticeKind kind, int round) const;
  // Whether it is a spot instance. Where that cannot be had, it might be.
  Status LearnLifeCycle();
  void Give(CloudNotice notice);
  void LoadSeen();
  void SaveSeen() const;

  const CloudNoticesOptions options_;
  // The thread's:
  std::optional<ImdsSession> session_;
  std::optional<bool> spot_;
  std::array<bool, kNoticeKinds> answers_{};  // the path is there
  std::vector<std::string> seen_;             // oldest first
  mutable std::mutex mutex_;
  std::condition_variable_any wait_;
  // Under mutex_:
  std::vector<CloudNotice> found_;
  std::string problem_;
  std::uint64_t asked_ = 0;
  std::jthread thread_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_CLOUD_NOTICES_H_
