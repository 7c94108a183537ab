// SPDX-License-Identifier: Apache-2.0
// SessionCalls: the questions that are open on one agent's connection, between whoever asks, the
// writer that sends them and the reader that takes the answers.
//
// Stage: ingest. Thread: any; asking waits, writing and reading do not. Bounds: kMaxCalls
// questions, of each at most a window of bytes; answers to a question that was given up are still
// checked, and dropped.
#ifndef CULPRIT_COLLECTOR_INGEST_SESSION_CALLS_H_
#define CULPRIT_COLLECTOR_INGEST_SESSION_CALLS_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "collector/ingest/control_rules.h"
#include "common/result.h"
#include "culprit/v1/control.pb.h"

namespace culprit {

class SessionCalls {
 public:
  static constexpr std::size_t kMaxCalls = 4;
  static constexpr std::size_t kMaxGivenUp = 16;

  // Errors: kResourceExhausted, kUnavailable after Close(). The caller wakes the writer.
  Result<std::uint64_t> Begin(const v1::PacketRequest& request);
  Result<std::uint64_t> Begin(const v1::SnapshotRequest& request);
  // Asks to be told of snapshots that the agent begins by itself. OnReply() gives what comes.
  void Watch();
  // Without an answer.
  void Tell(const v1::PacketRequest& request);
  void Tell(const v1::SnapshotRequest& request);
  // The next part of the answer. Errors: kUnavailable, kDeadlineExceeded, kCancelled. After an
  // error or the last part: End().
  Result<v1::ControlReply> Next(std::uint64_t request_id, std::chrono::milliseconds timeout,
                                const std::function<bool()>& is_cancelled);
  void End(std::uint64_t request_id);

  // The writer's.
  bool has_request() const;
  std::optional<v1::ControlRequest> TakeRequest();
  // The reader's. What is wrong with it; nullptr = nothing. `offer` is filled by an answer to
  // Watch().
  const char* OnReply(v1::ControlReply&& reply, std::optional<v1::SnapshotOffer>* offer);
  // The connection has ended: so has every question.
  void Close();

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Call {
    AnswerRules rules;
    std::deque<v1::ControlReply> parts;
    bool given_up = false;
  };
  Result<std::uint64_t> Begin(v1::ControlRequest message, const AnswerRules& rules);
  void Tell(v1::ControlRequest message);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Call> calls_;
  std::deque<v1::ControlRequest> unsent_;
  std::optional<OfferRules> watch_;
  std::uint64_t watch_id_ = 0;
  bool closed_ = false;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_SESSION_CALLS_H_
