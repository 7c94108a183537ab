// SPDX-License-Identifier: Apache-2.0
// The asking half of IngestSession: questions of operators to the agent, and its answers.
#include <spdlog/spdlog.h>

#include "collector/ingest/session.h"
#include "culprit/v1/ingest.grpc.pb.h"  // how gRPC serialises the messages

namespace culprit {
namespace {

Error ToError(const v1::ControlError& error) {
  const std::string why = error.detail().empty() ? "no reason given" : error.detail();
  switch (error.reason()) {
    case v1::ControlError::BUSY:
      return MakeError(Code::kResourceExhausted, "the agent is busy: " + why);
    case v1::ControlError::DISABLED:
      return FailedPrecondition("the agent keeps no packets: " + why +
                                "; set packets.enabled = true in its agent.toml and restart it");
    case v1::ControlError::UNSUPPORTED:
      return MakeError(Code::kUnimplemented, "the agent is older than this collector: " + why);
    case v1::ControlError::GONE:
      return FailedPrecondition("this fetch cannot go on: " + why + "; begin it again");
    case v1::ControlError::INVALID:
      return InvalidArgument("the agent refuses the request: " + why);
    default:
      return Internal("the agent could not read its packets: " + why);
  }
}

}  // namespace

void IngestSession::WakeWriter() {
  { const Lock lock(mutex_); }  // it looks at the questions under it
  changed_.notify_all();
}

Status IngestSession::AskForPackets(const v1::PacketRequest& request,
                                    const AgentControl::TakePart& take,
                                    const AgentControl::IsCancelled& is_cancelled) {
  TRY(const std::uint64_t id, calls_.Begin(request));
  WakeWriter();
  Status status = Ok();
  for (bool more = true; more && status;) {
    Result<v1::ControlReply> reply = calls_.Next(id, options_.answer_timeout, is_cancelled);
    if (!reply) {
      status = std::move(reply).error();
    } else if (reply->has_error()) {
      status = ToError(reply->error());
    } else {
      more = !reply->packets().window_end();
      if (!take(std::move(*reply->mutable_packets()))) {
        status = MakeError(Code::kCancelled, "no more is wanted");
      }
    }
  }
  calls_.End(id);
  return status;
}

void IngestSession::ReleasePackets(const std::string& fetch_id) {
  v1::PacketRequest request;
  request.set_fetch_id(fetch_id);
  request.set_release(true);
  calls_.Tell(request);
  WakeWriter();
}

// Not INVALID_ARGUMENT: the agent would give up an innocent frame.
grpc::Status IngestSession::HandleReply(v1::ControlReply* reply) {
  const char* wrong = calls_.OnReply(std::move(*reply));
  if (wrong == nullptr) return grpc::Status::OK;
  registry_->CountRefusal("control_reply");
  CountRejectedFrame(std::string("an answer that breaks the rules: ") + wrong);
  spdlog::warn("answer refused agent={} peer={} why={}", peer_.name, peer_address_, wrong);
  return {grpc::StatusCode::FAILED_PRECONDITION,
          std::string("an answer that was not asked for so: ") + wrong};
}

}  // namespace culprit
