// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/sender_link.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <deque>
#include <utility>

#include "agent/process/backoff.h"
#include "agent/process/child_process.h"
#include "agent/s3/key_source.h"
#include "agent/stream/control_wire.h"
#include "agent/stream/link_socket.h"
#include "agent/stream/memory_file.h"
#include "agent/stream/sink_wire.h"
#include "common/credentials.h"
#include "common/file.h"
#include "common/log.h"
#include "culprit/internal/v1/link.pb.h"

namespace culprit {
namespace {

namespace link = internal::v1;
using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

constexpr int kMessagesPerPump = 256;
constexpr std::size_t kMaxOutbox = 16;  // the sender asks one thing at a time: more is a fault
constexpr std::size_t kMaxQuarantined = 1024;
constexpr std::size_t kMaxRequests = 16;
constexpr std::size_t kMaxAnswers = 16;  // parts of 256 KiB
constexpr std::size_t kMaxTextBytes = 512;
constexpr milliseconds kLookForCertificate{2000};
constexpr seconds kLongLife{60};  // a sender that lived so long is restarted without delay

struct Outgoing {
  std::string bytes;
  UniqueFd fd;
};

std::string Bytes(const Uuid& id) { return std::string(id.AsBytes()); }

// Enrolment makes the key first and the certificate last: between the two the agent watches
// already, and evidence waits in the spool.
bool NotEnrolledYet(const SenderOptions& options) {
  if (options.sink.enabled()) return false;
  return (options.enrolling || access(options.key_path.c_str(), F_OK) == 0) &&
         access(options.certificate_path.c_str(), F_OK) != 0 && errno == ENOENT;
}

Status CheckFiles(const SenderOptions& options) {
  if (access(options.program.c_str(), X_OK) != 0) {
    return ErrnoError("the sender program " + options.program +
                      " can not be run (is it installed beside culprit-agent?)");
  }
  if (options.sink.enabled() && options.sink.credentials.empty()) return Ok();
  if (options.sink.enabled()) {
    const auto keys = ReadKeyFile(options.sink.credentials);
    return keys ? Ok() : Status(keys.error());
  }
  if (NotEnrolledYet(options)) return Ok();
  TRY(const Credentials credentials,
      LoadCredentials({options.ca_path, options.certificate_path, options.key_path}));
  // A date that is not right now is no reason to stop: evidence goes into the spool, and the sender
  // says what is wrong.
  Status status = CheckCredentials(credentials, ReadWallClock());
  if (!status && status.error().code != Code::kFailedPrecondition) return status;
  return Ok();
}

class SenderLinkImpl final : public SenderLink {
 public:
  SenderLinkImpl(const SenderOptions& options, Spool* spool) : options_(options), spool_(spool) {}

  Status Open() {
    epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
    timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!epoll_ || !timer_) return ErrnoError("epoll or timer");
    Watch(timer_.get(), EPOLLIN);
    return Spawn();
  }

  int poll_fd() const override { return epoll_.get(); }
  Status Pump() override;
  SenderStatus status() const override {
    SenderStatus out = status_;
    out.pid = process_.pid();
    return out;
  }
  std::vector<SpoolLoss> TakeQuarantined() override { return std::exchange(quarantined_, {}); }
  std::vector<ControlQuestion> TakeRequests() override { return std::exchange(requests_, {}); }
  void Answer(const ControlAnswer& answer) override;
  void Stop(milliseconds drain) override;

 private:
  Status Spawn();
  void Watch(int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    }
  }
  void SetTimer(milliseconds delay);
  void ReapAndRestart();
  void OnSenderGone(const std::string& how);
  Status Receive();
  Status Handle(const link::FromSender& message);
  Status HandleAck(const link::LanePosition& ack);
  Status HandleResume(const link::ResumePoint& point);
  void HandleSegment(const link::SegmentRequest& request);
  void HandleReport(const link::SenderReport& report);
  void HandleQuarantined(const link::Quarantined& refused);
  void HandleControl(const v1::ControlRequest& request);
  void HandleRenewed(const link::RenewedCertificate& renewed);
  void Queue(const link::ToSender& message, UniqueFd fd = UniqueFd());
  void QueueStateIfChanged();
  void Flush();
  link::SinkConfig Sink() const;

  SenderOptions options_;
  Spool* spool_;
  UniqueFd epoll_, timer_, socket_;
  ChildProcess process_;
  Backoff backoff_;
  SteadyClock::time_point started_;
  bool restart_pending_ = false, stopping_ = false;
  std::deque<Outgoing> outbox_;
  std::deque<Outgoing> answers_;  // to the collector, behind the outbox
  std::vector<ControlQuestion> requests_;
  std::string sent_state_;
  std::string said_;  // by this sender, of what is wrong
  SenderStatus status_;
  std::vector<SpoolLoss> quarantined_;
  LogLimit fault_limit_{seconds(10)};
};

Status SenderLinkImpl::Spawn() {
  if (NotEnrolledYet(options_)) {
    status_.last_error = options_.enrolling
                             ? "this host has not enrolled yet; the log says why, and it goes on"
                             : "this host has not enrolled yet: run `culprit-agent enrol`";
    restart_pending_ = true;
    SetTimer(kLookForCertificate);
    return Ok();
  }
  TRY(auto pair, MakeLinkPair());
  TRY_VOID(process_.Start(options_.program, {}, pair.second.get()));
  socket_ = std::move(pair.first);
  Watch(socket_.get(), EPOLLIN);
  if (process_.pid_fd() >= 0) Watch(process_.pid_fd(), EPOLLIN);
  started_ = SteadyClock::now();
  outbox_.clear();
  answers_.clear();
  sent_state_.clear();
  said_.clear();
  link::ToSender message;
  link::LinkConfig* config = message.mutable_config();
  config->set_collector(options_.collector);
  config->set_server_name(options_.server_name);
  config->set_ca_path(options_.ca_path);
  config->set_certificate_path(options_.certificate_path);
  config->set_key_path(options_.key_path);
  config->set_user(options_.user);
  config->set_enrol_address(options_.enrol_address);
  config->set_boot_id(Bytes(options_.boot_id));
  config->set_run_id(Bytes(options_.run_id));
  config->set_agent_version(options_.agent_version);
  if (options_.sink.enabled()) *config->mutable_sink() = Sink();
  Queue(message);
  QueueStateIfChanged();
  Flush();
  return Ok();
}

// A bucket cannot be asked what it has.
link::SinkConfig SenderLinkImpl::Sink() const {
  link::SinkConfig sink = WriteSink(options_.sink);
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    link::LanePosition* stored = sink.add_stored();
    stored->set_stream_id(Bytes(spool_->stream_id()));
    stored->set_lane(static_cast<std::uint32_t>(i));
    stored->set_seq(spool_->lane(static_cast<Lane>(i)).acked_seq);
  }
  return sink;
}

void SenderLinkImpl::SetTimer(milliseconds delay) {
  itimerspec spec{};
  spec.it_value.tv_sec = delay.count() / 1000;
  spec.it_value.tv_nsec = (delay.count() % 1000) * 1'000'000;
  timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

Status SenderLinkImpl::Pump() {
  ReapAndRestart();
  if (!socket_) return Ok();
  Status status = Receive();
  if (!socket_) return status;
  QueueStateIfChanged();
  Flush();
  return status;
}

void SenderLinkImpl::ReapAndRestart() {
  std::string how;
  if (process_.Ended(&how)) OnSenderGone(how);
  std::uint64_t ticks = 0;
  const bool due = read(timer_.get(), &ticks, sizeof ticks) == sizeof ticks;
  if (!due || !restart_pending_ || stopping_) return;
  restart_pending_ = false;
  if (!NotEnrolledYet(options_)) ++status_.restarts;
  if (const Status status = Spawn(); !status) OnSenderGone(status.error().message);
}

void SenderLinkImpl::OnSenderGone(const std::string& how) {
  socket_.Reset();
  status_.connected = false;
  if (stopping_) return;
  status_.last_error = "the sender " + how + (said_.empty() ? "" : ": " + said_);
  if (SteadyClock::now() - started_ > kLongLife) backoff_.Reset();
  const milliseconds delay = backoff_.Next(Random32());
  spdlog::warn("sender gone how=\"{}\" restart_in_ms={}", how, delay.count());
  restart_pending_ = true;
  SetTimer(delay);
}

// The sender has fewer rights than this process: a message that makes no sense ends it, never us.
Status SenderLinkImpl::Receive() {
  for (int i = 0; i < kMessagesPerPump && socket_; ++i) {
    Result<Datagram> datagram = ReceiveDatagram(socket_.get(), false);
    if (datagram && datagram->what == Datagram::What::kNothingYet) return Ok();
    if (datagram && datagram->what == Datagram::What::kClosed) {
      // The end of the process follows, and with it the restart.
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket_.get(), nullptr);
      socket_.Reset();
      return Ok();
    }
    link::FromSender message;
    if (!datagram || !message.ParseFromString(datagram->bytes)) {
      if (fault_limit_.Allow() > 0) spdlog::error("sender sent what is no message; ending it");
      process_.Kill();
      OnSenderGone("sent what is no message");
      return Ok();
    }
    TRY_VOID(Handle(message));
  }
  return Ok();
}

Status SenderLinkImpl::Handle(const link::FromSender& message) {
  switch (message.message_case()) {
    case link::FromSender::kAck:
      return HandleAck(message.ack());
    case link::FromSender::kResume:
      return HandleResume(message.resume());
    case link::FromSender::kSegment:
      HandleSegment(message.segment());
      return Ok();
    case link::FromSender::kReport:
      HandleReport(message.report());
      return Ok();
    case link::FromSender::kQuarantined:
      HandleQuarantined(message.quarantined());
      return Ok();
    case link::FromSender::kControl:
      HandleControl(message.control());
      return Ok();
    case link::FromSender::kRenewed:
      HandleRenewed(message.renewed());
      return Ok();
    case link::FromSender::kEnrolled:
    case link::FromSender::MESSAGE_NOT_SET:
      return Ok();
  }
  return Ok();
}

Status SenderLinkImpl::HandleAck(const link::LanePosition& ack) {
  if (ack.stream_id() != spool_->stream_id().AsBytes() || ack.lane() >= kLaneCount) return Ok();
  const Lane lane = static_cast<Lane>(ack.lane());
  if (ack.seq() > spool_->lane(lane).newest_seq) return Ok();
  return spool_->Acknowledge(lane, ack.seq());
}

// What the collector has must be what this spool wrote: after a power cut the spool can have lost
// its newest frames, and may have written others under the same numbers since.
Status SenderLinkImpl::HandleResume(const link::ResumePoint& point) {
  bool ours = true;
  for (const link::LanePosition& p : point.durable()) {
    if (p.stream_id() != spool_->stream_id().AsBytes() || p.lane() >= kLaneCount) return Ok();
    const Lane lane = static_cast<Lane>(p.lane());
    const auto hash = spool_->HashOf(lane, p.seq());
    const bool differs = hash && p.hash().size() == hash->size() && AsBytes(*hash) != p.hash();
    if (p.seq() > spool_->lane(lane).newest_seq || differs) {
      ours = false;
    } else {
      TRY_VOID(spool_->Acknowledge(lane, p.seq()));
    }
  }
  if (!ours) {
    spdlog::warn("the collector has frames that this spool lost: starting a new stream");
    TRY_VOID(spool_->BeginNewStream("tail_lost"));
  }
  link::ToSender reply;
  reply.mutable_resume()->set_go_on(ours);
  QueueStateIfChanged();
  Queue(reply);
  return Ok();
}

void SenderLinkImpl::HandleSegment(const link::SegmentRequest& request) {
  link::ToSender message;
  link::SegmentReply* reply = message.mutable_segment();
  reply->set_lane(request.lane());
  reply->set_seq(request.seq());
  reply->set_stream_id(request.stream_id());
  UniqueFd fd;
  if (request.lane() >= kLaneCount || request.stream_id() != spool_->stream_id().AsBytes()) {
    reply->set_error("not this spool's");
    Queue(message);
    return;
  }
  const Lane lane = static_cast<Lane>(request.lane());
  const std::vector<SpoolSegment> segments = spool_->segments(lane);
  reply->set_error("nothing there yet");
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const SpoolSegment& segment = segments[i];
    if (segment.last_seq == 0 || segment.last_seq < request.seq()) continue;
    Result<UniqueFd> opened = spool_->OpenSegment(lane, segment.number);
    reply->set_error(opened ? "" : opened.error().message);
    if (!opened) break;
    fd = std::move(*opened);
    reply->set_number(segment.number);
    reply->set_first_seq(segment.first_seq);
    reply->set_last_seq(segment.last_seq);
    reply->set_closed(i + 1 < segments.size());
    break;
  }
  Queue(message, std::move(fd));
}

void SenderLinkImpl::HandleReport(const link::SenderReport& report) {
  status_.connected = report.connected();
  status_.last_error = said_ = report.last_error().substr(0, kMaxTextBytes);
  status_.frames_sent = report.frames_sent();
  status_.bytes_sent = report.sent_bytes();
  status_.reconnects = report.reconnects();
  status_.collector_skew_ns = report.skew_ns();
  status_.rejected_records = report.rejected_records();
  if (report.connected()) backoff_.Reset();
}

void SenderLinkImpl::HandleQuarantined(const link::Quarantined& refused) {
  if (refused.stream_id() != spool_->stream_id().AsBytes() || refused.lane() >= kLaneCount ||
      quarantined_.size() >= kMaxQuarantined) {
    return;
  }
  SpoolLoss loss;
  loss.lane = static_cast<Lane>(refused.lane());
  loss.first_seq = loss.last_seq = refused.seq();
  loss.frames = 1;
  loss.bytes = refused.bytes();
  loss.records = refused.records();
  loss.detail = refused.detail().substr(0, kMaxTextBytes);
  if (refused.hash().size() == loss.end_hash.size()) {
    std::copy(refused.hash().begin(), refused.hash().end(), loss.end_hash.begin());
  }
  quarantined_.push_back(std::move(loss));
}

// Kept for the next start, if it is what it should be: our CA's, and for the key that is there.
void SenderLinkImpl::HandleRenewed(const link::RenewedCertificate& renewed) {
  const std::string next = options_.certificate_path + ".renewed";
  Status kept = WriteFileAtomically(next, renewed.certificate(), 0600);
  if (kept) {
    const auto good = CheckCredentials(CredentialPaths{options_.ca_path, next, options_.key_path},
                                       ReadWallClock());
    kept = good ? RenameFile(next, options_.certificate_path) : Status(good.error());
  }
  if (kept) return;
  unlink(next.c_str());
  if (fault_limit_.Allow() > 0) {
    spdlog::error("the renewed certificate was not kept: {}", kept.error().message);
  }
}

void SenderLinkImpl::HandleControl(const v1::ControlRequest& request) {
  auto read = ReadControl(request);
  if (const auto* refusal = std::get_if<ControlAnswer>(&read)) return Answer(*refusal);
  if (requests_.size() < kMaxRequests) {
    requests_.push_back(std::move(std::get<ControlQuestion>(read)));
  }
}

// Data goes in a memory file: no datagram holds so much, and it is not copied once more.
void SenderLinkImpl::Answer(const ControlAnswer& answer) {
  if (!socket_ || answers_.size() >= kMaxAnswers) return;
  link::ToSender message;
  *message.mutable_control_reply() = WriteControl(answer);
  UniqueFd data;
  if (!answer.data.empty()) {
    auto file = MakeMemoryFile(answer.data);
    if (!file) {
      if (fault_limit_.Allow() > 0) spdlog::error("{}", file.error().message);
      return;
    }
    data = std::move(*file);
  }
  answers_.push_back(Outgoing{message.SerializeAsString(), std::move(data)});
  Flush();
}

void SenderLinkImpl::Queue(const link::ToSender& message, UniqueFd fd) {
  outbox_.push_back(Outgoing{message.SerializeAsString(), std::move(fd)});
  if (outbox_.size() <= kMaxOutbox) return;
  process_.Kill();
  OnSenderGone("does not read its answers");
  outbox_.clear();
}

void SenderLinkImpl::QueueStateIfChanged() {
  if (!outbox_.empty() && !sent_state_.empty()) return;  // the newest state goes when there is room
  link::ToSender message;
  link::SpoolState* state = message.mutable_spool();
  state->set_stream_id(Bytes(spool_->stream_id()));
  state->set_previous_stream_id(
      spool_->previous_stream_id() == Uuid{} ? "" : Bytes(spool_->previous_stream_id()));
  state->set_stream_reason(spool_->stream_reason());
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const LaneState lane = spool_->lane(static_cast<Lane>(i));
    link::LaneSpan* span = state->add_lanes();
    span->set_lane(static_cast<std::uint32_t>(i));
    span->set_oldest_seq(lane.oldest_seq);
    span->set_newest_seq(lane.newest_seq);
  }
  std::string bytes = message.SerializeAsString();
  if (bytes == sent_state_) return;
  sent_state_ = bytes;
  outbox_.push_back(Outgoing{std::move(bytes), UniqueFd()});
}

void SenderLinkImpl::Flush() {
  while (socket_ && !(outbox_.empty() && answers_.empty())) {
    auto& from = outbox_.empty() ? answers_ : outbox_;
    const Outgoing& next = from.front();
    const Result<bool> sent = SendDatagram(socket_.get(), next.bytes, next.fd.get(), false);
    if (!sent || !*sent)
      break;  // full: EPOLLOUT calls again; broken: the end of the process follows
    from.pop_front();
  }
  if (socket_) {
    const bool done = outbox_.empty() && answers_.empty();
    Watch(socket_.get(),
          done ? std::uint32_t{EPOLLIN} : std::uint32_t{EPOLLIN} | std::uint32_t{EPOLLOUT});
  }
}

void SenderLinkImpl::Stop(milliseconds drain) {
  if (stopping_) return;
  stopping_ = true;
  link::ToSender message;
  message.mutable_stop()->set_drain_ms(static_cast<std::uint32_t>(drain.count()));
  if (socket_) Queue(message);
  const auto deadline = SteadyClock::now() + drain + milliseconds(500);
  while (process_.pid() >= 0 && SteadyClock::now() < deadline) {
    if (const Status status = Pump(); !status) {
      spdlog::error("spool: {}", status.error().message);
    }
    pollfd poll_one{epoll_.get(), POLLIN, 0};
    poll(&poll_one, 1, 50);
  }
  process_.Kill();
  socket_.Reset();
}

}  // namespace

Status SenderLink::Check(const SenderOptions& options) { return CheckFiles(options); }

Result<std::unique_ptr<SenderLink>> SenderLink::Start(const SenderOptions& options, Spool* spool) {
  TRY_VOID(CheckFiles(options));
  auto link = std::make_unique<SenderLinkImpl>(options, spool);
  TRY_VOID(link->Open());
  return link;
}

}  // namespace culprit
