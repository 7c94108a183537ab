// SPDX-License-Identifier: Apache-2.0
// AlertWorker: takes the alerts of one target from the queue, one after the other, and delivers
// each until it is taken. A target that is slow or down holds up itself alone.
//
// Stage: alert. Thread: Run() belongs to one thread; the rest from any. Failure: tries again, later
// and later; an alert that the target refuses five times is given up and counted as lost.
#ifndef CULPRIT_COLLECTOR_ALERT_ALERT_WORKER_H_
#define CULPRIT_COLLECTOR_ALERT_ALERT_WORKER_H_

#include <cstdint>
#include <memory>
#include <random>
#include <stop_token>
#include <string>

#include "collector/alert/alert_queue.h"
#include "collector/alert/alert_sender.h"
#include "collector/alert/alert_target.h"
#include "common/log.h"
#include "common/mutex.h"

namespace culprit {

struct DeliveryState {
  std::uint64_t failures = 0;  // since the newest success
  std::int64_t last_error_ns = 0, next_attempt_ns = 0;
  std::string last_error;
  std::string last_delivered;  // key
};

class AlertWorker {
 public:
  AlertWorker(const AlertTarget& target, AlertQueue& queue, std::unique_ptr<AlertSender> sender)
      : target_(target),
        queue_(queue),
        sender_(std::move(sender)),
        random_(std::random_device{}()) {}

  // Blocks until asked to stop; Wake() after the stop was asked for ends it at once.
  void Run(const std::stop_token& stop);
  // Something was queued, or the thread is to stop.
  void Wake();
  // Does not wait for what is left of a delay.
  void TryNow();

  const AlertTarget& target() const { return target_; }
  DeliveryState state() const;

 private:
  // False: nothing waits, or the queue cannot be read.
  bool SendOne(const std::stop_token& stop);
  void Store(const QueuedAlert& head, bool delivered, const std::stop_token& stop);
  void Note(const SendOutcome& outcome, const QueuedAlert& head);
  void Fail(const std::string& error);
  // Until the time has come, a Wake() (unless `delay_only`) or a TryNow().
  void Pause(std::chrono::milliseconds span, bool delay_only, const std::stop_token& stop);

  const AlertTarget target_;
  AlertQueue& queue_;
  const std::unique_ptr<AlertSender> sender_;
  std::mt19937_64 random_;
  std::uint64_t attempts_ = 0, refusals_ = 0;  // of the alert at the head
  LogLimit log_limit_{std::chrono::seconds(60)};

  mutable Mutex mutex_;
  CondVar wake_;
  bool woken_ CULPRIT_GUARDED_BY(mutex_) = false, try_now_ CULPRIT_GUARDED_BY(mutex_) = false;
  DeliveryState state_ CULPRIT_GUARDED_BY(mutex_);
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_ALERT_WORKER_H_
