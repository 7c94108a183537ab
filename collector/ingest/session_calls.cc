// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/session_calls.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "common/bytes.h"
#include "common/ids.h"

namespace culprit {
namespace {

constexpr std::chrono::milliseconds kLookForCancel{100};
constexpr std::size_t kMaxUnsent = 32;

// Never the number of another connection, nor of another collector: what an agent still answers to
// those must not be taken for this one's.
std::uint64_t NextRequestId() {
  static std::atomic<std::uint64_t> next{
      LoadLe<std::uint32_t>(Uuid::Random().AsBytes().data()) * std::uint64_t{0x10000} + 1};
  return next++;
}

v1::ControlRequest Make(const v1::PacketRequest& request) {
  v1::ControlRequest message;
  message.set_request_id(NextRequestId());
  *message.mutable_packets() = request;
  return message;
}

v1::ControlRequest Make(const v1::SnapshotRequest& request) {
  v1::ControlRequest message;
  message.set_request_id(NextRequestId());
  *message.mutable_snapshot() = request;
  return message;
}

}  // namespace

Result<std::uint64_t> SessionCalls::Begin(const v1::PacketRequest& request) {
  return Begin(Make(request), AnswerRules(request));
}

Result<std::uint64_t> SessionCalls::Begin(const v1::SnapshotRequest& request) {
  return Begin(Make(request), AnswerRules(request));
}

Result<std::uint64_t> SessionCalls::Begin(v1::ControlRequest message, const AnswerRules& rules) {
  const Lock lock(mutex_);
  if (closed_) return Unavailable("the agent's connection was lost");
  const auto open = std::count_if(calls_.begin(), calls_.end(),
                                  [](const auto& call) { return !call.second.given_up; });
  if (open >= static_cast<std::ptrdiff_t>(kMaxCalls)) {
    return MakeError(Code::kResourceExhausted,
                     "the agent is answering " + std::to_string(kMaxCalls) + " other questions");
  }
  const std::uint64_t id = message.request_id();
  calls_.emplace(id, Call{rules, {}, false});
  unsent_.push_back(std::move(message));
  return id;
}

void SessionCalls::Watch() {
  v1::ControlRequest message;
  message.set_request_id(NextRequestId());
  message.mutable_snapshot_watch();
  const Lock lock(mutex_);
  if (closed_) return;
  watch_.emplace();
  watch_id_ = message.request_id();
  unsent_.push_back(std::move(message));
}

void SessionCalls::Tell(const v1::PacketRequest& request) { Tell(Make(request)); }
void SessionCalls::Tell(const v1::SnapshotRequest& request) { Tell(Make(request)); }

void SessionCalls::Tell(v1::ControlRequest message) {
  const Lock lock(mutex_);
  if (!closed_ && unsent_.size() < kMaxUnsent) unsent_.push_back(std::move(message));
}

Result<v1::ControlReply> SessionCalls::Next(std::uint64_t request_id,
                                            std::chrono::milliseconds timeout,
                                            const std::function<bool()>& is_cancelled) {
  Lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto call = calls_.find(request_id);
    if (call == calls_.end()) return Unavailable("the agent's connection was lost");
    auto& parts = call->second.parts;
    if (!parts.empty()) {
      v1::ControlReply part = std::move(parts.front());
      parts.pop_front();
      return part;
    }
    if (closed_) return Unavailable("the agent's connection was lost");
    if (is_cancelled && is_cancelled()) return MakeError(Code::kCancelled, "cancelled");
    if (std::chrono::steady_clock::now() >= deadline) {
      return MakeError(Code::kDeadlineExceeded, "the agent does not answer");
    }
    changed_.wait_for(lock, kLookForCancel);
  }
}

void SessionCalls::End(std::uint64_t request_id) {
  const Lock lock(mutex_);
  const auto call = calls_.find(request_id);
  if (call == calls_.end()) return;
  if (call->second.rules.ended() || closed_) {
    calls_.erase(call);
    return;
  }
  call->second.given_up = true;
  call->second.parts.clear();
  std::size_t given_up = 0;
  for (auto at = calls_.rbegin(); at != calls_.rend(); ++at) {
    if (at->second.given_up && ++given_up > kMaxGivenUp) {
      calls_.erase(at->first);
      return;
    }
  }
}

bool SessionCalls::has_request() const {
  const Lock lock(mutex_);
  return !unsent_.empty();
}

std::optional<v1::ControlRequest> SessionCalls::TakeRequest() {
  const Lock lock(mutex_);
  if (unsent_.empty()) return std::nullopt;
  v1::ControlRequest next = std::move(unsent_.front());
  unsent_.pop_front();
  return next;
}

const char* SessionCalls::OnReply(v1::ControlReply&& reply,
                                  std::optional<v1::SnapshotOffer>* offer) {
  const Lock lock(mutex_);
  if (watch_ && reply.request_id() == watch_id_) {
    if (const char* wrong = watch_->Check(reply); wrong != nullptr) return wrong;
    if (reply.has_snapshot_offer()) *offer = std::move(*reply.mutable_snapshot_offer());
    return nullptr;
  }
  const auto at = calls_.find(reply.request_id());
  if (at == calls_.end()) return "unasked";
  Call& call = at->second;
  if (const char* wrong = call.rules.Check(reply); wrong != nullptr) return wrong;
  if (!call.given_up) {
    call.parts.push_back(std::move(reply));
  } else if (call.rules.ended()) {
    calls_.erase(at);
  }
  changed_.notify_all();
  return nullptr;
}

void SessionCalls::Close() {
  const Lock lock(mutex_);
  closed_ = true;
  unsent_.clear();
  changed_.notify_all();
}

}  // namespace culprit
