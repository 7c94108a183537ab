// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>

#include "collector/pki/grpc_peer.h"
#include "collector/pki/signing_request.h"
#include "common/hex.h"
#include "common/time.h"
#include "culprit/v1/ingest.grpc.pb.h"  // how gRPC serialises the messages

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kSettleTimeout{10};
constexpr double kBurstSeconds = 2;
constexpr std::uint64_t kLeastCharge = 4096;  // small frames cost, too

std::size_t IndexOf(Lane lane) { return static_cast<std::size_t>(lane); }

v1::Ack MakeAck(const Uuid& stream, std::size_t lane, std::uint64_t seq) {
  v1::Ack ack;
  ack.set_stream_id(std::string(stream.AsBytes()));
  ack.set_lane(static_cast<std::uint32_t>(lane));
  ack.set_seq(seq);
  return ack;
}

}  // namespace

IngestSession::IngestSession(const IngestOptions& options, Journal* journal,
                             std::shared_ptr<Registry> registry, grpc::ServerContext* context,
                             Stream* stream)
    : options_(options),
      journal_(journal),
      registry_(std::move(registry)),
      context_(context),
      stream_(stream),
      peer_address_(context->peer()) {}

grpc::Status IngestSession::Run() {
  const auto peer = RequirePeer(*context_, PeerRole::kAgent);
  if (!peer) {
    registry_->CountRefusal(peer.error().code == Code::kUnauthenticated ? "no_certificate"
                                                                        : "not_an_agent");
    spdlog::warn("agent refused peer={} why=\"{}\"", peer_address_, peer.error().message);
    return ToGrpcStatus(peer.error());
  }
  peer_ = *peer;
  if (options_.is_revoked && options_.is_revoked(peer_)) {
    registry_->CountRefusal("revoked");
    spdlog::warn("agent refused peer={} agent={} why=revoked", peer_address_, peer_.name);
    return {grpc::StatusCode::PERMISSION_DENIED, "this certificate was revoked"};
  }
  if (const auto key = KeySha256(PeerCertificate(*context_)); key) {
    const Lock lock(mutex_);
    who_ = ConnectedAgent{peer_, HexEncode(AsBytes(*key))};
  }
  agent_ = registry_->Find(peer_.agent_id);
  if (agent_ == nullptr) {
    registry_->CountRefusal("too_many_agents");
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many agents"};
  }

  std::thread writer([this] { WriteLoop(); });
  grpc::Status status;
  if (const auto claim = ReadHello(); claim) {
    status = Serve(*claim);
  } else {
    registry_->CountRefusal("hello");
    CountRejectedFrame(claim.error().message);
    status = ToGrpcStatus(claim.error());
  }
  calls_.Close();
  WaitUntilSettled();
  {
    const Lock lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  writer.join();
  const Lock lock(mutex_);
  if (end_ && status.ok()) status = ToGrpcStatus(*end_);
  return status;
}

Result<HelloClaim> IngestSession::ReadHello() {
  if (!stream_->Read(&incoming_) || !incoming_.has_hello()) {
    return FailedPrecondition("the first message must be a hello");
  }
  return ValidateHello(incoming_.hello());
}

grpc::Status IngestSession::Serve(const HelloClaim& claim) {
  claim_ = claim;
  if (const Status status = TakeOver(claim); !status) return ToGrpcStatus(status.error());
  spdlog::info("agent connected agent={} id={} peer={} version={} stream={}", peer_.name,
               peer_.agent_id.ToString(), peer_address_, claim.agent_version,
               claim.stream_id.ToString());
  validator_.emplace(claim.stream_id);
  grpc::Status status;
  if (SendHelloAck()) status = ReadFrames();
  const Lock lock(agent_->mutex);
  if (agent_->live.lock().get() == this) {
    agent_->live.reset();
    agent_->stats.connected = false;
  }
  spdlog::info("agent disconnected agent={} peer={} code={} why=\"{}\"", peer_.name, peer_address_,
               static_cast<int>(status.error_code()), status.error_message());
  return status;
}

// One live session an agent. The older one is asked to go; from here on it can not change the
// sequence any more. What it has given to the journal must be settled first, else its frames could
// be taken for lost and be journalled twice.
Status IngestSession::TakeOver(const HelloClaim& claim) {
  Lock lock(agent_->mutex);
  if (const auto older = agent_->live.lock(); older != nullptr) {
    ++agent_->stats.takeovers;
    older->End(MakeError(Code::kAborted, "a newer connection of this agent took over"),
               milliseconds(0));
  }
  agent_->live = weak_from_this();
  const bool settled = agent_->settled.wait_for(lock, kSettleTimeout, [this] {
    return agent_->sequence.Settled() || agent_->live.lock().get() != this;
  });
  if (agent_->live.lock().get() != this) {
    return MakeError(Code::kAborted, "a newer connection of this agent took over");
  }
  if (!settled) {
    agent_->live.reset();
    return Unavailable("frames of an earlier connection are still being written");
  }
  AgentIngestStats& stats = agent_->stats;
  if (agent_->sequence.OnHello(claim)) {
    ++stats.rollbacks;
    spdlog::warn("agent's spool is behind what it sent agent={} stream={}", peer_.name,
                 claim.stream_id.ToString());
  }
  stats.name = peer_.name;
  stats.peer = peer_address_;
  stats.agent_version = claim.agent_version;
  stats.connected = true;
  ++stats.connections;
  return Ok();
}

bool IngestSession::SendHelloAck() {
  v1::CollectorMessage message;
  v1::HelloAck* hello = message.mutable_hello();
  hello->set_protocol_version(kProtocolVersion);
  hello->set_collector_version(options_.collector_version);
  hello->set_wall_ns(ToNs(ReadWallClock()));
  hello->set_max_inflight_frames(options_.max_inflight_frames);
  std::array<std::uint64_t, kLaneCount> durable{};
  {
    const Lock lock(agent_->mutex);
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
      const DurableHead head = agent_->sequence.Durable(claim_.stream_id, static_cast<Lane>(lane));
      if (head.seq == 0) continue;
      v1::Ack* ack = hello->add_durable();
      *ack = MakeAck(claim_.stream_id, lane, head.seq);
      ack->set_hash(std::string(AsBytes(head.hash)));
      durable[lane] = head.seq;
    }
  }
  if (!stream_->Write(message)) return false;
  if (options_.on_offer) calls_.Watch();
  const Lock lock(mutex_);
  durable_ = acked_ = durable;
  hello_done_ = true;
  changed_.notify_all();
  return true;
}

grpc::Status IngestSession::ReadFrames() {
  while (stream_->Read(&incoming_)) {
    {
      const Lock lock(mutex_);
      if (end_) return ToGrpcStatus(*end_);
    }
    if (incoming_.has_control_reply()) {
      grpc::Status status = HandleReply(incoming_.mutable_control_reply());
      if (!status.ok()) return status;
      continue;
    }
    if (!incoming_.has_frame()) {
      registry_->CountRefusal("repeated_hello");
      CountRejectedFrame("a second hello, or an empty message");
      return {grpc::StatusCode::FAILED_PRECONDITION, "only frames may follow the hello"};
    }
    ++frame_index_;
    if (grpc::Status status = HandleFrame(incoming_.mutable_frame()); !status.ok()) return status;
  }
  return grpc::Status::OK;
}

grpc::Status IngestSession::HandleFrame(v1::FrameData* data) {
  if (data->payload().size() > kMaxPayloadBytes) return Refuse("size", "payload over 1 MiB");
  auto valid = validator_->Validate(std::move(*data->mutable_header()),
                                    std::move(*data->mutable_payload()), data->hash());
  if (!valid) return Refuse(RefusalName(valid.error().reason), valid.error().detail);
  const std::uint64_t bytes = valid->frame.payload.size();
  if (!WaitForRate(bytes) || !WaitForRoom(bytes)) {
    const Lock lock(mutex_);
    return end_ ? ToGrpcStatus(*end_) : grpc::Status::CANCELLED;
  }
  return HandleValid(std::move(*valid));
}

grpc::Status IngestSession::HandleValid(ValidFrame valid) {
  const FrameHeader& header = valid.frame.header;
  SequenceVerdict verdict;
  CollectorStamp stamp;
  {
    const Lock lock(agent_->mutex);
    if (agent_->live.lock().get() != this) {
      return {grpc::StatusCode::ABORTED, "a newer connection of this agent took over"};
    }
    if (const Lock own(mutex_); end_) return ToGrpcStatus(*end_);
    verdict = agent_->sequence.Observe(header, valid.frame.hash);
    AgentIngestStats& stats = agent_->stats;
    stats.last_received = ReadWallClock();
    stats.skew_ns = ToNs(header.clock.wall) - ToNs(stats.last_received);
    if (verdict.action == SequenceVerdict::Action::kAccept) {
      ++stats.frames;
      stats.records += valid.records;
      stats.rejected_records += valid.rejected_records;
      stats.payload_bytes += valid.frame.payload.size();
      if (verdict.missing_to != 0) {
        ++stats.gaps;
        stats.missing_frames += verdict.missing_to - verdict.missing_from + 1;
      }
      stats.forks += verdict.state == SequenceState::kFork ? 1 : 0;
      stamp = MakeStamp(header, verdict);
    } else if (verdict.action == SequenceVerdict::Action::kDuplicate) {
      ++stats.duplicates;
    } else {
      stats.forks += verdict.refusal == "fork" ? 1 : 0;
      stats.refused_forks += verdict.refusal == "fork" ? 1 : 0;
    }
  }
  if (verdict.action == SequenceVerdict::Action::kRefuse) {
    if (verdict.refusal == "too_many_streams") {
      registry_->CountRefusal(verdict.refusal);
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "this agent has started too many streams"};
    }
    return Refuse(verdict.refusal, verdict.refusal == "fork"
                                       ? "other evidence is stored under this number (fork)"
                                       : "arrived after frames that follow it (out of order)");
  }
  if (verdict.action == SequenceVerdict::Action::kAccept) {
    Journalise(std::move(stamp), std::move(valid));
    return grpc::Status::OK;
  }
  const DurableHead durable = [&] {
    const Lock lock(agent_->mutex);
    return agent_->sequence.Durable(header.stream_id, header.lane);
  }();
  const Lock lock(mutex_);
  durable_[IndexOf(header.lane)] = durable.seq;
  // A copy that overtakes its original's fsync is covered by the original's ack.
  repeat_ack_[IndexOf(header.lane)] = durable.seq != 0;
  changed_.notify_all();
  return grpc::Status::OK;
}

CollectorStamp IngestSession::MakeStamp(const FrameHeader& header,
                                        const SequenceVerdict& verdict) const {
  CollectorStamp stamp;
  stamp.received = agent_->stats.last_received;
  stamp.agent_id = peer_.agent_id;
  stamp.agent_name = peer_.name;
  stamp.peer = peer_address_;
  stamp.certificate_sha256 = peer_.cert_sha256;
  stamp.sequence = verdict.state;
  stamp.missing_from_seq = verdict.missing_from;
  stamp.missing_to_seq = verdict.missing_to;
  stamp.skew_ns = ToNs(header.clock.wall) - ToNs(stamp.received);
  stamp.stream_reason = verdict.stream_reason;
  return stamp;
}

void IngestSession::Journalise(CollectorStamp stamp, ValidFrame valid) {
  const Lane lane = valid.frame.header.lane;
  const std::uint64_t seq = valid.frame.header.seq, bytes = valid.frame.payload.size();
  {
    const Lock lock(mutex_);
    ++inflight_frames_;
    inflight_bytes_ += bytes;
    rejected_records_ += valid.rejected_records;
  }
  // The session outlives its connection until the journal has answered.
  journal_->Append(std::move(stamp), std::move(valid.frame),
                   [self = shared_from_this(), lane, seq, bytes](Result<Lsn> result) {
                     self->OnSettled(lane, seq, bytes,
                                     result ? Ok() : Status(std::move(result).error()));
                   });
}

// On the journal's commit thread: no I/O, no waiting. The end comes before the settlement: whoever
// sees the sequence fall back must not go on accepting behind it.
void IngestSession::OnSettled(Lane lane, std::uint64_t seq, std::uint64_t bytes,
                              const Status& result) {
  if (!result) {
    registry_->CountRefusal("journal");
    End(MakeError(Code::kResourceExhausted,
                  "the collector can not store evidence now: " + result.error().message),
        seconds(5));
  }
  std::uint64_t durable = 0;
  {
    const Lock lock(agent_->mutex);
    agent_->sequence.Settle(claim_.stream_id, lane, seq, result.has_value());
    durable = agent_->sequence.Durable(claim_.stream_id, lane).seq;
    if (!result) agent_->stats.last_refusal = result.error().message;
  }
  agent_->settled.notify_all();
  const Lock lock(mutex_);
  --inflight_frames_;
  inflight_bytes_ -= bytes;
  durable_[IndexOf(lane)] = durable;
  changed_.notify_all();
}

bool IngestSession::WaitForRoom(std::uint64_t bytes) {
  Lock lock(mutex_);
  changed_.wait(lock, [&] {
    const bool room =
        inflight_frames_ < options_.max_inflight_frames &&
        (inflight_bytes_ == 0 || inflight_bytes_ + bytes <= options_.max_inflight_bytes);
    return room || end_.has_value() || write_failed_;
  });
  return !end_ && !write_failed_;
}

// An agent that sends more than its share is read more slowly, and waits: nothing is refused, and
// no other agent notices.
bool IngestSession::WaitForRate(std::uint64_t bytes) {
  if (options_.max_rate == 0) return true;
  std::chrono::nanoseconds wait{0};
  {
    const Lock lock(agent_->mutex);
    const auto rate = static_cast<double>(options_.max_rate);
    if (!agent_->rate) agent_->rate.emplace(rate, rate * kBurstSeconds);
    wait = agent_->rate->Charge(static_cast<double>(std::max(bytes, kLeastCharge)),
                                std::chrono::steady_clock::now());
  }
  Lock lock(mutex_);
  if (wait.count() > 0) {
    changed_.wait_for(lock, wait, [this] { return end_.has_value() || write_failed_; });
  }
  return !end_ && !write_failed_;
}

grpc::Status IngestSession::Refuse(std::string_view reason, const std::string& message) {
  registry_->CountRefusal(reason);
  CountRejectedFrame(message);
  spdlog::warn("frame refused agent={} peer={} index={} reason={} why=\"{}\"", peer_.name,
               peer_address_, frame_index_, reason, message);
  context_->AddTrailingMetadata("culprit-frame-index", std::to_string(frame_index_));
  context_->AddTrailingMetadata("culprit-refusal", std::string(reason));
  return {grpc::StatusCode::INVALID_ARGUMENT,
          "frame " + std::to_string(frame_index_) + " of this connection: " + message};
}

void IngestSession::CountRejectedFrame(const std::string& why) {
  const Lock lock(agent_->mutex);
  ++agent_->stats.rejected_frames;
  agent_->stats.last_refusal = why;
}

std::optional<ConnectedAgent> IngestSession::agent() {
  const Lock lock(mutex_);
  if (end_ || closing_) return std::nullopt;
  return who_;
}

void IngestSession::End(Error error, milliseconds reconnect_after) {
  const Lock lock(mutex_);
  if (end_ || closing_) return;
  end_ = std::move(error);
  reconnect_after_ = reconnect_after;
  changed_.notify_all();
}

}  // namespace culprit
