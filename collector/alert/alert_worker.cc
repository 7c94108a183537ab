// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/alert_worker.h"

#include "collector/alert/retry_delay.h"

namespace culprit {
namespace {

constexpr std::uint64_t kMaxRefusals = 5;
constexpr auto kIdle = std::chrono::seconds(5);
constexpr auto kDiskPause = std::chrono::seconds(1);

}  // namespace

void AlertWorker::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (!SendOne(stop)) Pause(kIdle, false, stop);
  }
}

bool AlertWorker::SendOne(const std::stop_token& stop) {
  auto head = queue_.Head(target_.name);
  if (!head) {
    Fail(head.error().message);
    return false;
  }
  if (!*head) {
    attempts_ = refusals_ = 0;
    return false;
  }
  const SendOutcome outcome = sender_->Send({(*head)->alert, ++attempts_, stop});
  if (outcome.result != SendResult::kDelivered && stop.stop_requested()) return true;
  if (outcome.result == SendResult::kRefused) ++refusals_;
  const bool give_up = refusals_ >= kMaxRefusals;
  Note(outcome, **head);
  if (outcome.result == SendResult::kDelivered || give_up) {
    Store(**head, !give_up, stop);
    attempts_ = refusals_ = 0;
    return true;
  }
  const double chance = std::uniform_real_distribution<double>(0, 1)(random_);
  const auto delay = RetryDelay(state().failures, target_.retry_max, outcome.retry_after, chance);
  Pause(delay, true, stop);
  return true;
}

// What was delivered is not sent again because a disk is full: only its removal is tried again.
void AlertWorker::Store(const QueuedAlert& head, bool delivered, const std::stop_token& stop) {
  while (true) {
    const Status stored = delivered ? queue_.Delivered(target_.name, head.id, ReadWallClock())
                                    : queue_.GiveUp(target_.name, head.id);
    if (stored) break;
    Fail(stored.error().message);
    Pause(kDiskPause, true, stop);
    if (stop.stop_requested()) return;
  }
  if (!delivered) return;
  MutexLock lock(&mutex_);
  state_.last_delivered = head.alert.key();
  state_.failures = 0;
}

void AlertWorker::Note(const SendOutcome& outcome, const QueuedAlert& head) {
  if (outcome.result == SendResult::kDelivered) {
    if (state().failures > 0)
      spdlog::info("alert target recovered name={} attempts={}", target_.name, attempts_);
    return;
  }
  Fail(outcome.error);
  const bool given_up = refusals_ >= kMaxRefusals;
  if (given_up) {
    spdlog::warn("alert given up name={} key={} reason={}", target_.name, head.alert.key(),
                 outcome.error);
  } else if (const auto n = log_limit_.Allow(); n > 0) {
    spdlog::warn("alert not delivered name={} key={} attempt={} reason={}", target_.name,
                 head.alert.key(), attempts_, outcome.error);
  }
}

void AlertWorker::Fail(const std::string& error) {
  MutexLock lock(&mutex_);
  ++state_.failures;
  state_.last_error = error;
  state_.last_error_ns = ToNs(ReadWallClock());
}

void AlertWorker::Pause(std::chrono::milliseconds span, bool delay_only,
                        const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + span;
  MutexLock lock(&mutex_);
  if (delay_only) state_.next_attempt_ns = ToNs(ReadWallClock() + span);
  while (!stop.stop_requested() && !try_now_ && (delay_only || !woken_)) {
    if (!wake_.WaitUntil(&mutex_, deadline)) break;
  }
  woken_ = try_now_ = false;
  state_.next_attempt_ns = 0;
}

void AlertWorker::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
  wake_.NotifyAll();
}

void AlertWorker::TryNow() {
  MutexLock lock(&mutex_);
  try_now_ = true;
  wake_.NotifyAll();
}

DeliveryState AlertWorker::state() const {
  MutexLock lock(&mutex_);
  return state_;
}

}  // namespace culprit
