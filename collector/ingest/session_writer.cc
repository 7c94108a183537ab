// SPDX-License-Identifier: Apache-2.0
// The writing half of IngestSession.
#include <algorithm>

#include "collector/ingest/session.h"
#include "culprit/v1/ingest.grpc.pb.h"  // how gRPC serialises the messages

namespace culprit {
namespace {

constexpr std::chrono::seconds kHelloTimeout{10};
constexpr std::chrono::seconds kEndGrace{2};  // between Drain and the cut
constexpr std::chrono::seconds kFlushTimeout{5};

}  // namespace

// Before the hello it only watches the time: an authenticated peer that says nothing must not keep
// two threads. After the end was asked for, it says so to the peer and cuts the connection if that
// does not help.
void IngestSession::WriteLoop() {
  {
    Lock lock(mutex_);
    if (!changed_.wait_for(lock, kHelloTimeout, [this] { return hello_done_ || closing_; })) {
      context_->TryCancel();
      changed_.wait(lock, [this] { return closing_; });
    }
    if (!hello_done_) return;
  }
  while (WriteAcks()) {
  }
  Lock lock(mutex_);
  if (end_ && !closing_ && !write_failed_) {
    v1::CollectorMessage message;
    message.mutable_drain()->set_reason(end_->message);
    message.mutable_drain()->set_reconnect_after_ms(
        static_cast<std::uint32_t>(reconnect_after_.count()));
    lock.unlock();
    stream_->Write(message);
    lock.lock();
  }
  // The handler may be waiting in Read(): a peer that does not close is cut off.
  if (!changed_.wait_for(lock, kEndGrace, [this] { return closing_; })) context_->TryCancel();
  changed_.wait(lock, [this] { return closing_; });
}

// Waits for something to acknowledge and writes it. False when nothing more can or need be written.
bool IngestSession::WriteAcks() {
  Lock lock(mutex_);
  const auto is_due = [this](std::size_t lane) {
    return durable_[lane] > acked_[lane] || repeat_ack_[lane];
  };
  const auto any_due = [&] { return is_due(0) || is_due(1) || calls_.has_request(); };
  changed_.wait(lock, [&] { return any_due() || end_.has_value() || closing_ || write_failed_; });
  if (write_failed_ || !any_due()) return false;
  for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
    if (!is_due(lane)) continue;
    v1::CollectorMessage message;
    v1::Ack* ack = message.mutable_ack();
    ack->set_stream_id(std::string(claim_.stream_id.AsBytes()));
    ack->set_lane(static_cast<std::uint32_t>(lane));
    ack->set_seq(durable_[lane]);
    ack->set_rejected_records(rejected_records_);
    acked_[lane] = durable_[lane];
    repeat_ack_[lane] = false;
    if (!Write(message, &lock)) return false;
  }
  return WriteRequests(&lock);
}

bool IngestSession::WriteRequests(Lock* lock) {
  while (auto request = calls_.TakeRequest()) {
    v1::CollectorMessage message;
    *message.mutable_control() = std::move(*request);
    if (!Write(message, lock)) return false;
  }
  return true;
}

bool IngestSession::Write(const v1::CollectorMessage& message, Lock* lock) {
  lock->unlock();
  const bool written = stream_->Write(message);
  lock->lock();
  if (written) return true;
  write_failed_ = true;
  changed_.notify_all();
  return false;
}

// Good frames that came before a bad one get their acks before the connection ends.
void IngestSession::WaitUntilSettled() {
  Lock lock(mutex_);
  changed_.wait_for(lock, kFlushTimeout, [this] { return inflight_frames_ == 0; });
}

}  // namespace culprit
