// SPDX-License-Identifier: Apache-2.0
// The sender's end of the link: what the sensor last said, and questions to it.
//
// Stage: stream (edge: sockets), in the sender process. Thread: Run() on one thread receives; all
// else from any. The end of the sensor ends Run(), and with it the process.
#ifndef CULPRIT_AGENT_STREAM_SENSOR_PORT_H_
#define CULPRIT_AGENT_STREAM_SENSOR_PORT_H_

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "common/frame.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "culprit/internal/v1/link.pb.h"

namespace culprit {

struct LaneView {
  std::uint64_t oldest_seq = 1, newest_seq = 0;
};
struct SpoolView {
  Uuid stream_id, previous_stream_id;
  std::string stream_reason;
  std::array<LaneView, kLaneCount> lanes{};
  std::uint64_t version = 0;  // grows with each change
};

struct OpenedSegment {
  std::uint64_t number = 0, first_seq = 0, last_seq = 0;
  bool closed = false;
  UniqueFd fd;
};

class SensorPort {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kIdleWait{1000};

  explicit SensorPort(UniqueFd socket) : socket_(std::move(socket)) {}

  // The first message, which says what this process is for: a configuration or an enrolment. Blocks.
  Result<internal::v1::ToSender> ReceiveFirst();
  // Receives until the sensor is gone. `on_stop` runs once, when the sensor asks to end by the
  // given time.
  void Run(const std::function<void(Clock::time_point)>& on_stop);

  SpoolView spool();
  // Waits until spool().version is not `version`, Wake(), a stop request, or `timeout`.
  void WaitForChange(std::uint64_t version, std::chrono::milliseconds timeout);
  void Wake();
  // Until the sensor has said what its spool holds, or there is no more time.
  void AwaitSpool();
  // For so long, or until `over`, which is asked at each change and each kIdleWait.
  void Pause(std::chrono::milliseconds span, const std::function<bool()>& over);
  // When to end; nullopt = not asked to.
  std::optional<Clock::time_point> stop_deadline();
  // That deadline has passed.
  bool TimeIsUp();

  // Errors: kNotFound (nothing there yet), kUnavailable (no answer).
  Result<OpenedSegment> RequestSegment(const Uuid& stream, Lane lane, std::uint64_t seq);
  // Whether the collector's position belongs to this spool; false: a new stream follows.
  Result<bool> Resume(const internal::v1::ResumePoint& point);
  void Send(const internal::v1::FromSender& message);
  // The next part of an answer to the collector, its data included; nullopt = there is none. Those
  // that nobody takes are dropped beyond kMaxReplies.
  std::optional<v1::ControlReply> TakeReply();
  bool has_reply();

 private:
  static constexpr std::size_t kMaxReplies = 16;
  struct Reply {
    v1::ControlReply reply;
    UniqueFd data;
  };
  using Lock = std::unique_lock<std::mutex>;
  void TakeState(const internal::v1::SpoolState& state);
  void TakeMessage(internal::v1::ToSender* message, UniqueFd fd,
                   const std::function<void(Clock::time_point)>& on_stop);

  UniqueFd socket_;
  std::mutex send_mutex_;
  std::mutex mutex_;
  std::condition_variable changed_;
  SpoolView view_;
  bool woken_ = false;
  std::optional<Clock::time_point> stop_;
  struct SegmentAnswer {
    internal::v1::SegmentReply reply;
    UniqueFd fd;
  };
  std::optional<SegmentAnswer> segment_;
  std::optional<bool> resume_;
  std::deque<Reply> replies_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_SENSOR_PORT_H_
