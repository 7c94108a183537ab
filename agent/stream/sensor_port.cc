// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/sensor_port.h"

#include <algorithm>

#include "agent/model/control.h"
#include "agent/stream/control_wire.h"
#include "agent/stream/link_socket.h"
#include "agent/stream/memory_file.h"

namespace culprit {
namespace {

namespace link = internal::v1;
constexpr std::chrono::seconds kAnswerTimeout{30};

Uuid UuidOrZero(const std::string& bytes) {
  const auto id = Uuid::FromBytes(bytes);
  return id ? *id : Uuid{};
}

}  // namespace

Result<link::ToSender> SensorPort::ReceiveFirst() {
  TRY(const Datagram datagram, ReceiveDatagram(socket_.get(), true));
  link::ToSender message;
  if (datagram.what != Datagram::What::kMessage || !message.ParseFromString(datagram.bytes) ||
      !(message.has_config() || message.has_enrol())) {
    return FailedPrecondition(
        "no configuration came on descriptor 3: only culprit-agent starts this");
  }
  return message;
}

void SensorPort::Run(const std::function<void(Clock::time_point)>& on_stop) {
  for (;;) {
    Result<Datagram> datagram = ReceiveDatagram(socket_.get(), true);
    if (!datagram || datagram->what == Datagram::What::kClosed) return;
    link::ToSender message;
    if (!message.ParseFromString(datagram->bytes)) return;
    TakeMessage(&message, std::move(datagram->fd), on_stop);
  }
}

void SensorPort::TakeMessage(link::ToSender* message, UniqueFd fd,
                             const std::function<void(Clock::time_point)>& on_stop) {
  std::optional<Clock::time_point> stop;
  {
    const Lock lock(mutex_);
    switch (message->message_case()) {
      case link::ToSender::kSpool:
        TakeState(message->spool());
        break;
      case link::ToSender::kSegment:
        segment_.emplace(SegmentAnswer{std::move(*message->mutable_segment()), std::move(fd)});
        break;
      case link::ToSender::kResume:
        resume_ = message->resume().go_on();
        break;
      case link::ToSender::kStop:
        stop_ = stop = Clock::now() + std::chrono::milliseconds(message->stop().drain_ms());
        break;
      case link::ToSender::kControlReply:
        if (replies_.size() < kMaxReplies) {
          replies_.push_back({std::move(*message->mutable_control_reply()), std::move(fd)});
        }
        woken_ = true;
        break;
      case link::ToSender::kConfig:
      case link::ToSender::kEnrol:
      case link::ToSender::MESSAGE_NOT_SET:
        break;
    }
  }
  changed_.notify_all();
  if (stop) on_stop(*stop);
}

void SensorPort::TakeState(const link::SpoolState& state) {
  view_.stream_id = UuidOrZero(state.stream_id());
  view_.previous_stream_id = UuidOrZero(state.previous_stream_id());
  view_.stream_reason = state.stream_reason();
  for (const link::LaneSpan& span : state.lanes()) {
    if (span.lane() < kLaneCount) view_.lanes[span.lane()] = {span.oldest_seq(), span.newest_seq()};
  }
  ++view_.version;
}

std::optional<v1::ControlReply> SensorPort::TakeReply() {
  Reply next;
  {
    const Lock lock(mutex_);
    if (replies_.empty()) return std::nullopt;
    next = std::move(replies_.front());
    replies_.pop_front();
  }
  if (std::string* to = MutableData(&next.reply); next.data && to != nullptr) {
    auto data = ReadMemoryFile(next.data.get(), kMaxFetchPart);
    if (data) *to = std::move(*data);
  }
  return std::move(next.reply);
}

bool SensorPort::has_reply() {
  const Lock lock(mutex_);
  return !replies_.empty();
}

SpoolView SensorPort::spool() {
  const Lock lock(mutex_);
  return view_;
}

void SensorPort::WaitForChange(std::uint64_t version, std::chrono::milliseconds timeout) {
  Lock lock(mutex_);
  const bool stopping = stop_.has_value();
  changed_.wait_for(lock, timeout, [&] {
    return view_.version != version || woken_ || stop_.has_value() != stopping;
  });
  woken_ = false;
}

void SensorPort::Wake() {
  {
    const Lock lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

void SensorPort::AwaitSpool() {
  while (spool().version == 0 && !TimeIsUp()) WaitForChange(0, kIdleWait);
}

void SensorPort::Pause(std::chrono::milliseconds span, const std::function<bool()>& over) {
  const auto until = Clock::now() + span;
  while (Clock::now() < until && !over()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    WaitForChange(spool().version, std::min(left + std::chrono::milliseconds(1), kIdleWait));
  }
}

std::optional<SensorPort::Clock::time_point> SensorPort::stop_deadline() {
  const Lock lock(mutex_);
  return stop_;
}

bool SensorPort::TimeIsUp() {
  const auto deadline = stop_deadline();
  return deadline && Clock::now() >= *deadline;
}

Result<OpenedSegment> SensorPort::RequestSegment(const Uuid& stream, Lane lane, std::uint64_t seq) {
  link::FromSender message;
  link::SegmentRequest* request = message.mutable_segment();
  request->set_lane(static_cast<std::uint32_t>(lane));
  request->set_seq(seq);
  request->set_stream_id(std::string(stream.AsBytes()));
  {
    const Lock lock(mutex_);
    segment_.reset();
  }
  Send(message);
  Lock lock(mutex_);
  const bool answered = changed_.wait_for(lock, kAnswerTimeout, [this, seq] {
    return segment_.has_value() && segment_->reply.seq() == seq;
  });
  if (!answered) return Unavailable("the sensor does not answer");
  SegmentAnswer answer = std::move(*segment_);
  segment_.reset();
  if (!answer.reply.error().empty() || !answer.fd) return NotFound(answer.reply.error());
  OpenedSegment out;
  out.number = answer.reply.number();
  out.first_seq = answer.reply.first_seq();
  out.last_seq = answer.reply.last_seq();
  out.closed = answer.reply.closed();
  out.fd = std::move(answer.fd);
  return out;
}

Result<bool> SensorPort::Resume(const link::ResumePoint& point) {
  link::FromSender message;
  *message.mutable_resume() = point;
  {
    const Lock lock(mutex_);
    resume_.reset();
  }
  Send(message);
  Lock lock(mutex_);
  if (!changed_.wait_for(lock, kAnswerTimeout, [this] { return resume_.has_value(); })) {
    return Unavailable("the sensor does not answer");
  }
  return *resume_;
}

// A failure means that the sensor is gone; Run() notices the same.
void SensorPort::Send(const link::FromSender& message) {
  const std::lock_guard lock(send_mutex_);
  const Result<bool> sent = SendDatagram(socket_.get(), message.SerializeAsString(), -1, true);
  (void)sent;
}

}  // namespace culprit
