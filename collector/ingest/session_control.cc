// SPDX-License-Identifier: Apache-2.0
// The asking half of IngestSession: questions of operators to the agent, and its answers.
#include <spdlog/spdlog.h>

#include "collector/ingest/session.h"
#include "culprit/v1/ingest.grpc.pb.h"  // how gRPC serialises the messages

namespace culprit {
namespace {

bool IsLast(const v1::ControlReply& reply) {
  return reply.has_snapshot() ? reply.snapshot().window_end() : reply.packets().window_end();
}

// `subject`: "packets" or "snapshot", which is also the section of the agent's configuration.
Error ToError(const v1::ControlError& error, std::string_view subject) {
  const std::string why = error.detail().empty() ? "no reason given" : error.detail();
  const std::string of(subject);
  switch (error.reason()) {
    case v1::ControlError::BUSY:
      return MakeError(Code::kResourceExhausted, "the agent is busy: " + why);
    case v1::ControlError::DISABLED:
      return FailedPrecondition(
          "the agent " + std::string(of == "packets" ? "keeps no packets" : "takes no snapshots") +
          ": " + why + "; set " + of + ".enabled = true in its agent.toml and restart it");
    case v1::ControlError::UNSUPPORTED:
      return MakeError(Code::kUnimplemented, "the agent is older than this collector: " + why);
    case v1::ControlError::GONE:
      return MakeError(of == "packets" ? Code::kFailedPrecondition : Code::kNotFound,
                       "this fetch cannot go on: " + why + "; begin it again");
    case v1::ControlError::INVALID:
      return InvalidArgument("the agent refuses the request: " + why);
    default:
      return Internal("the agent could not read its " + of + ": " + why);
  }
}

}  // namespace

void IngestSession::WakeWriter() {
  { const Lock lock(mutex_); }  // it looks at the questions under it
  changed_.notify_all();
}

// Passes the parts on as they come, to the last.
Status IngestSession::TakeAnswer(std::uint64_t request_id, std::string_view subject,
                                 const TakeReply& take,
                                 const AgentControl::IsCancelled& is_cancelled) {
  WakeWriter();
  Status status = Ok();
  for (bool more = true; more && status;) {
    Result<v1::ControlReply> reply = calls_.Next(request_id, options_.answer_timeout, is_cancelled);
    if (!reply) {
      status = std::move(reply).error();
    } else if (reply->has_error()) {
      status = ToError(reply->error(), subject);
    } else {
      more = !IsLast(*reply);
      if (!take(std::move(*reply))) status = MakeError(Code::kCancelled, "no more is wanted");
    }
  }
  calls_.End(request_id);
  return status;
}

Status IngestSession::AskForPackets(const v1::PacketRequest& request,
                                    const AgentControl::TakePart& take,
                                    const AgentControl::IsCancelled& is_cancelled) {
  TRY(const std::uint64_t id, calls_.Begin(request));
  const auto take_packets = [&take](v1::ControlReply&& reply) {
    return take(std::move(*reply.mutable_packets()));
  };
  return TakeAnswer(id, "packets", take_packets, is_cancelled);
}

void IngestSession::ReleasePackets(const std::string& fetch_id) {
  v1::PacketRequest request;
  request.set_fetch_id(fetch_id);
  request.set_release(true);
  calls_.Tell(request);
  WakeWriter();
}

Status IngestSession::AskForSnapshot(const v1::SnapshotRequest& request,
                                     const AgentControl::TakeSnapshotPart& take,
                                     const AgentControl::IsCancelled& is_cancelled) {
  TRY(const std::uint64_t id, calls_.Begin(request));
  const auto take_part = [&take](v1::ControlReply&& reply) {
    return take(std::move(*reply.mutable_snapshot()));
  };
  return TakeAnswer(id, "snapshot", take_part, is_cancelled);
}

void IngestSession::ReleaseSnapshot(const std::string& snapshot_id) {
  v1::SnapshotRequest request;
  request.set_snapshot_id(snapshot_id);
  request.set_release(true);
  calls_.Tell(request);
  WakeWriter();
}

// Not INVALID_ARGUMENT: the agent would give up an innocent frame.
grpc::Status IngestSession::HandleReply(v1::ControlReply* reply) {
  std::optional<v1::SnapshotOffer> offer;
  const char* wrong = calls_.OnReply(std::move(*reply), &offer);
  if (wrong == nullptr) {
    if (offer) options_.on_offer(peer_, *offer);
    return grpc::Status::OK;
  }
  registry_->CountRefusal("control_reply");
  CountRejectedFrame(std::string("an answer that breaks the rules: ") + wrong);
  spdlog::warn("answer refused agent={} peer={} why={}", peer_.name, peer_address_, wrong);
  return {grpc::StatusCode::FAILED_PRECONDITION,
          std::string("an answer that was not asked for so: ") + wrong};
}

}  // namespace culprit
