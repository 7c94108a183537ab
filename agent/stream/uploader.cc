// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/uploader.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "agent/process/backoff.h"
#include "agent/stream/control_wire.h"
#include "agent/stream/diagnose.h"
#include "agent/stream/lane_reader.h"
#include "agent/stream/renewal.h"
#include "agent/stream/send_window.h"
#include "common/memory.h"
#include "culprit/v1/ingest.grpc.pb.h"

namespace culprit {
namespace {

namespace link = internal::v1;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = SensorPort::Clock;

constexpr std::uint32_t kProtocolVersion = 1;
constexpr seconds kConnectTimeout{20};
constexpr milliseconds kReportEvery{1000};
constexpr int kKeepaliveMs = 20'000;
constexpr std::size_t kMaxAsked = 64;
constexpr int kRepliesPerFrame = 4;  // 1 MiB

using Stream = grpc::ClientReaderWriter<v1::AgentMessage, v1::CollectorMessage>;

// One connection to the collector, from dialling to its status.
struct Connection {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Ingest::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<Stream> stream;
  bool greeted = false;
  std::atomic<bool> ended{false};  // the collector closes, or asked us to
};

struct Outcome {
  std::string why;        // empty = ended on purpose (stop, or a new stream)
  milliseconds pause{0};  // asked for by the collector
  bool worked = false;    // the collector greeted us
};

class UploaderImpl final : public Uploader {
 public:
  UploaderImpl(const link::LinkConfig& config, Credentials credentials, SensorPort* port)
      : config_(config),
        credentials_(std::move(credentials)),
        port_(port),
        renewal_(config_, &credentials_, port) {}

  void Run() override;
  void Cancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (connection_ != nullptr) connection_->context.TryCancel();
    port_->Wake();
  }

 private:
  Outcome RunConnection();
  std::shared_ptr<grpc::Channel> Dial() const;
  bool WaitUntilConnected(grpc::Channel* channel) const;
  Status Greet(Connection* c);
  Result<bool> TakeHelloAck(const v1::HelloAck& hello);
  Status SendFrames(Connection* c);
  Result<bool> SendOne(Connection* c, Lane lane);
  bool SendReply(Connection* c);
  void TakeControl(const v1::ControlRequest& request);
  void ReadLoop(Connection* c);
  void TakeAck(const v1::Ack& ack);
  void TakeEnd(Connection* c, const grpc::Status& status, Outcome* outcome);
  void Refused(const Connection& c, const grpc::Status& status);
  void Report(bool connected, const std::string& error, bool now);
  bool Finished();
  bool StreamChanged() { return port_->spool().stream_id != view_.stream_id; }
  std::optional<Lane> NextLane(const SpoolView& view) const;

  link::LinkConfig config_;
  Credentials credentials_;
  SensorPort* port_;
  Renewal renewal_;
  SpoolView view_;  // as of the hello of this connection
  std::array<std::optional<LaneReader>, kLaneCount> readers_;
  Quarantine quarantine_;
  Backoff backoff_;
  std::minstd_rand random_{std::random_device{}()};
  Clock::time_point last_report_;

  std::mutex mutex_;  // the fields below
  Connection* connection_ = nullptr;
  bool cancelled_ = false;
  SendWindow window_;
  std::set<std::uint64_t> asked_;  // requests of this connection that are not answered to the end
  milliseconds pause_{0};
  std::string drain_reason_;
  link::SenderReport report_;
  std::uint64_t rejected_before_ = 0;  // of connections that have ended
};

void UploaderImpl::Run() {
  port_->AwaitSpool();
  std::string last_logged;
  while (!Finished()) {
    Outcome outcome = RunConnection();
    if (Finished()) break;
    if (outcome.worked) backoff_.Reset();
    if (outcome.why.empty()) continue;
    if (outcome.why != last_logged) spdlog::warn("not connected why=\"{}\"", outcome.why);
    last_logged = outcome.why;
    Report(false, outcome.why, true);
    port_->Pause(std::max(outcome.pause, backoff_.Next(static_cast<std::uint32_t>(random_()))),
                 [this] { return Finished(); });
    const std::lock_guard lock(mutex_);
    report_.set_reconnects(report_.reconnects() + 1);
  }
}

// Nothing is left to send, or there is no more time.
bool UploaderImpl::Finished() {
  if (!port_->stop_deadline()) return false;
  if (port_->TimeIsUp()) return true;
  const SpoolView view = port_->spool();
  const std::lock_guard lock(mutex_);
  if (!window_.empty() || view.stream_id != view_.stream_id) return false;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    if (!readers_[i] || readers_[i]->next_seq() <= view.lanes[i].newest_seq) return false;
  }
  return true;
}

std::shared_ptr<grpc::Channel> UploaderImpl::Dial() const {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = credentials_.ca_pem;
  tls.pem_cert_chain = credentials_.certificate_pem;
  tls.pem_private_key = credentials_.key_pem;
  grpc::ChannelArguments args;
  if (!config_.server_name().empty()) args.SetSslTargetNameOverride(config_.server_name());
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Retries, delays and their reset are ours: a shared subchannel would keep its own.
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  args.SetMaxReceiveMessageSize(1 << 20);
  return grpc::CreateCustomChannel(config_.collector(), grpc::SslCredentials(tls), args);
}

bool UploaderImpl::WaitUntilConnected(grpc::Channel* channel) const {
  const auto deadline = std::chrono::system_clock::now() + kConnectTimeout;
  for (;;) {
    const grpc_connectivity_state state = channel->GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (port_->stop_deadline() && Clock::now() >= *port_->stop_deadline()) return false;
    const auto step = std::min(deadline, std::chrono::system_clock::now() + milliseconds(500));
    if (!channel->WaitForStateChange(state, step) && std::chrono::system_clock::now() >= deadline) {
      return false;
    }
  }
}

Outcome UploaderImpl::RunConnection() {
  Outcome outcome;
  Connection c;
  if (renewal_.Expired(ReadWallClock())) {
    if (const Status renewed = renewal_.Rejoin(); !renewed) {
      outcome.why = renewed.error().message;
      return outcome;
    }
  }
  c.channel = Dial();
  if (!WaitUntilConnected(c.channel.get())) {
    outcome.why = DiagnoseConnection({config_.collector(), config_.server_name()}, credentials_,
                                     ReadWallClock());
    if (outcome.why.empty()) outcome.why = "no connection to " + config_.collector();
    return outcome;
  }
  c.stub = v1::Ingest::NewStub(c.channel);
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return outcome;
    connection_ = &c;
    pause_ = milliseconds(0);
    drain_reason_.clear();
    asked_.clear();
  }
  c.stream = c.stub->Stream(&c.context);
  Status status = Greet(&c);
  std::thread reader;
  if (status && c.greeted) {
    outcome.worked = true;
    Report(true, "", true);
    spdlog::info("connected collector={}", config_.collector());
    GiveBackStartup();  // a handshake runs much code
    reader = std::thread([this, &c] { ReadLoop(&c); });
    status = SendFrames(&c);
  }
  c.stream->WritesDone();
  if (!status) c.context.TryCancel();  // a fault of our own, for instance in reading the spool
  if (reader.joinable()) {
    reader.join();
  } else {
    v1::CollectorMessage rest;
    while (c.stream->Read(&rest)) {
    }
  }
  const grpc::Status end = c.stream->Finish();
  TakeEnd(&c, end, &outcome);
  if (!status) outcome.why = status.error().message;
  const std::lock_guard lock(mutex_);
  connection_ = nullptr;
  window_.Reset(0);
  rejected_before_ = report_.rejected_records();
  return outcome;
}

Status UploaderImpl::Greet(Connection* c) {
  if (StreamChanged()) quarantine_.Clear();
  view_ = port_->spool();
  v1::AgentMessage message;
  v1::Hello* hello = message.mutable_hello();
  hello->set_protocol_version(kProtocolVersion);
  hello->set_agent_version(config_.agent_version());
  hello->set_stream_id(std::string(view_.stream_id.AsBytes()));
  hello->set_boot_id(config_.boot_id());
  hello->set_run_id(config_.run_id());
  hello->set_stream_reason(view_.stream_reason);
  if (view_.previous_stream_id != Uuid{}) {
    hello->set_previous_stream_id(std::string(view_.previous_stream_id.AsBytes()));
  }
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    v1::LaneRange* range = hello->add_lanes();
    range->set_lane(static_cast<std::uint32_t>(i));
    range->set_oldest_seq(view_.lanes[i].oldest_seq);
    range->set_newest_seq(view_.lanes[i].newest_seq);
  }
  v1::CollectorMessage answer;
  if (!c->stream->Write(message) || !c->stream->Read(&answer) || !answer.has_hello()) return Ok();
  TRY(c->greeted, TakeHelloAck(answer.hello()));
  return Ok();
}

// False if the collector's stream is not this spool's any more.
Result<bool> UploaderImpl::TakeHelloAck(const v1::HelloAck& hello) {
  std::array<std::uint64_t, kLaneCount> durable{};
  link::ResumePoint point;
  for (const v1::Ack& ack : hello.durable()) {
    if (ack.lane() >= kLaneCount || ack.stream_id() != view_.stream_id.AsBytes()) {
      return DataLoss("the collector answered for another stream");
    }
    durable[ack.lane()] = ack.seq();
    link::LanePosition* p = point.add_durable();
    p->set_stream_id(ack.stream_id());
    p->set_lane(ack.lane());
    p->set_seq(ack.seq());
    p->set_hash(ack.hash());
  }
  TRY(const bool go_on, port_->Resume(point));
  if (!go_on) {
    port_->WaitForChange(view_.version, seconds(5));
    return false;
  }
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const Lane lane = static_cast<Lane>(i);
    readers_[i].emplace(view_.stream_id, [this, lane, stream = view_.stream_id](std::uint64_t seq) {
      return port_->RequestSegment(stream, lane, seq);
    });
    readers_[i]->Restart(std::max(durable[i] + 1, view_.lanes[i].oldest_seq));
  }
  const std::lock_guard lock(mutex_);
  window_.Reset(hello.max_inflight_frames());
  report_.set_skew_ns(ToNs(ReadWallClock()) - hello.wall_ns());
  return true;
}

// Evidence first: bulk is only sent while nothing of the evidence lane waits.
std::optional<Lane> UploaderImpl::NextLane(const SpoolView& view) const {
  for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
    const auto i = static_cast<std::size_t>(lane);
    if (readers_[i]->next_seq() <= view.lanes[i].newest_seq) return lane;
  }
  return std::nullopt;
}

Status UploaderImpl::SendFrames(Connection* c) {
  while (!c->ended && !StreamChanged() && !Finished()) {
    if (renewal_.Due(ReadWallClock())) {
      const Status renewed = renewal_.Renew(c->channel);
      if (renewed) return Ok();  // at once again, with the new one: the spool holds what is left
      spdlog::warn("{}", renewed.error().message);
    }
    const SpoolView view = port_->spool();
    const std::optional<Lane> lane = NextLane(view);
    const bool room = [this] {
      const std::lock_guard lock(mutex_);
      return window_.HasRoom();
    }();
    // In turns, answers first: somebody waits for them, and the host may not last. A window is
    // asked for only when the one before is there, so that frames have their turn.
    bool sent = false;
    for (int i = 0; i < kRepliesPerFrame && SendReply(c); ++i) sent = true;
    if (lane && room) {
      TRY(const bool frame, SendOne(c, *lane));
      sent |= frame;
    }
    Report(true, "", false);
    // A full window waits for an ack, which wakes; an unreadable segment for the next change.
    if (!sent && !port_->has_reply()) port_->WaitForChange(view.version, SensorPort::kIdleWait);
  }
  return Ok();
}

Result<bool> UploaderImpl::SendOne(Connection* c, Lane lane) {
  TRY(std::optional<Frame> frame, readers_[static_cast<std::size_t>(lane)]->Next());
  if (!frame) return false;
  const FrameHeader& header = frame->header;
  if (quarantine_.Contains(lane, header.seq)) return true;
  SentFrame sent{lane, header.seq, frame->payload.size(), header.record_count, frame->hash};
  v1::AgentMessage message;
  message.mutable_frame()->set_header(std::move(frame->header_bytes));
  message.mutable_frame()->set_payload(std::move(frame->payload));
  message.mutable_frame()->set_hash(std::string(AsBytes(sent.hash)));
  {
    const std::lock_guard lock(mutex_);
    window_.Sent(sent);
    report_.set_frames_sent(report_.frames_sent() + 1);
    report_.set_sent_bytes(report_.sent_bytes() + sent.bytes);
  }
  if (!c->stream->Write(message)) c->ended = true;
  return true;
}

// What another connection asked for is not for this one.
bool UploaderImpl::SendReply(Connection* c) {
  std::optional<v1::ControlReply> reply = port_->TakeReply();
  if (!reply) return false;
  {
    const std::lock_guard lock(mutex_);
    const auto asked = asked_.find(reply->request_id());
    if (asked == asked_.end()) return true;
    if (EndsAnswer(*reply)) asked_.erase(asked);
  }
  v1::AgentMessage message;
  *message.mutable_control_reply() = std::move(*reply);
  if (!c->stream->Write(message)) c->ended = true;
  return true;
}

void UploaderImpl::TakeControl(const v1::ControlRequest& request) {
  if (request.ByteSizeLong() > kMaxControlBytes) return;
  {
    const std::lock_guard lock(mutex_);
    if (asked_.size() >= kMaxAsked) asked_.erase(asked_.begin());
    asked_.insert(request.request_id());
  }
  link::FromSender message;
  *message.mutable_control() = request;
  port_->Send(message);
}

void UploaderImpl::ReadLoop(Connection* c) {
  v1::CollectorMessage message;
  while (c->stream->Read(&message)) {
    if (message.has_ack()) {
      TakeAck(message.ack());
    } else if (message.has_control()) {
      TakeControl(message.control());
    } else if (message.has_drain()) {
      {
        const std::lock_guard lock(mutex_);
        pause_ = milliseconds(std::min(message.drain().reconnect_after_ms(), 60'000U));
        drain_reason_ = message.drain().reason();
      }
      c->ended = true;
      port_->Wake();
    }
  }
  c->ended = true;
  port_->Wake();
}

void UploaderImpl::TakeAck(const v1::Ack& ack) {
  if (ack.lane() >= kLaneCount || ack.stream_id() != view_.stream_id.AsBytes()) return;
  link::FromSender message;
  message.mutable_ack()->set_stream_id(ack.stream_id());
  message.mutable_ack()->set_lane(ack.lane());
  message.mutable_ack()->set_seq(ack.seq());
  port_->Send(message);
  {
    const std::lock_guard lock(mutex_);
    window_.Acked(static_cast<Lane>(ack.lane()), ack.seq());
    report_.set_rejected_records(rejected_before_ + ack.rejected_records());
  }
  port_->Wake();
}

void UploaderImpl::TakeEnd(Connection* c, const grpc::Status& status, Outcome* outcome) {
  {
    const std::lock_guard lock(mutex_);
    outcome->pause = pause_;
    outcome->why = drain_reason_;
  }
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) Refused(*c, status);
  if (!status.ok()) outcome->why = status.error_message();
  // Refused certificates show up here, as a connection that is gone before a word was said.
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && !c->greeted) {
    const std::string why = DiagnoseConnection({config_.collector(), config_.server_name()},
                                               credentials_, ReadWallClock());
    if (!why.empty()) outcome->why = why;
  }
  if (outcome->why.empty() && !status.ok()) outcome->why = "the connection was lost";
}

void UploaderImpl::Refused(const Connection& c, const grpc::Status& status) {
  std::uint64_t index = 0;
  const auto& metadata = c.context.GetServerTrailingMetadata();
  if (const auto at = metadata.find("culprit-frame-index"); at != metadata.end()) {
    for (const char digit : std::string(at->second.data(), at->second.size()).substr(0, 18)) {
      if (digit < '0' || digit > '9') return;
      index = index * 10 + static_cast<std::uint64_t>(digit - '0');
    }
  }
  const std::optional<SentFrame> frame = [&] {
    const std::lock_guard lock(mutex_);
    return window_.Refused(index);
  }();
  if (!frame || !quarantine_.Refused(frame->lane, frame->seq)) return;
  spdlog::error("frame given up lane={} seq={} why=\"{}\"", static_cast<int>(frame->lane),
                frame->seq, status.error_message());
  link::FromSender message;
  link::Quarantined* q = message.mutable_quarantined();
  q->set_stream_id(std::string(view_.stream_id.AsBytes()));
  q->set_lane(static_cast<std::uint32_t>(frame->lane));
  q->set_seq(frame->seq);
  q->set_bytes(frame->bytes);
  q->set_records(frame->records);
  q->set_hash(std::string(AsBytes(frame->hash)));
  q->set_detail(status.error_message());
  port_->Send(message);
}

void UploaderImpl::Report(bool connected, const std::string& error, bool now) {
  if (!now && Clock::now() - last_report_ < kReportEvery) return;
  last_report_ = Clock::now();
  link::FromSender message;
  {
    const std::lock_guard lock(mutex_);
    report_.set_connected(connected);
    report_.set_last_error(error.substr(0, 512));
    *message.mutable_report() = report_;
  }
  port_->Send(message);
}

}  // namespace

std::unique_ptr<Uploader> Uploader::Create(const link::LinkConfig& config, Credentials credentials,
                                           SensorPort* port) {
  return std::make_unique<UploaderImpl>(config, std::move(credentials), port);
}

}  // namespace culprit
