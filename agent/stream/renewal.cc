// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/renewal.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "agent/enrol/agent_key.h"
#include "agent/process/child_process.h"
#include "agent/stream/enrol_client.h"
#include "culprit/v1/enrol.grpc.pb.h"

namespace culprit {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr seconds kCallTimeout{15};
constexpr nanoseconds kLeastPause = seconds(1), kMostPause = seconds(300);
constexpr std::string_view kEnrolledUri = "spiffe://culprit/host/";

}  // namespace

Renewal::Renewal(const internal::v1::LinkConfig& config, Credentials* credentials, SensorPort* port)
    : config_(config), credentials_(*credentials), port_(*port) {
  const auto& uris = credentials_.certificate.uri_names;
  enrolled_ = std::ranges::any_of(
      uris, [](const std::string& uri) { return uri.starts_with(kEnrolledUri); });
  Schedule();
}

// Half of its life, and up to a tenth later: hosts that were started together do not ask together.
void Renewal::Schedule() {
  const auto& certificate = credentials_.certificate;
  const nanoseconds life = certificate.not_after - certificate.not_before;
  due_ = certificate.not_before + life / 2 + life / 1000 * (Random32() % 100);
}

void Renewal::Postpone() {
  const WallTime now = ReadWallClock();
  const nanoseconds left = credentials_.certificate.not_after - now;
  due_ = now + std::clamp(left / 8, kLeastPause, kMostPause);
}

Result<std::string> Renewal::Request() const {
  return MakeSigningRequest(credentials_.key_pem, credentials_.certificate.common_name);
}

Status Renewal::Take(const std::string& certificate_pem) {
  Credentials next = credentials_;
  next.certificate_pem = certificate_pem;
  TRY(next.certificate, ReadCertificate(certificate_pem));
  TRY_VOID(CheckCredentials(next, ReadWallClock()));
  credentials_ = std::move(next);
  Schedule();
  spdlog::info("certificate renewed until={}", FormatUtc(credentials_.certificate.not_after));
  internal::v1::FromSender message;
  message.mutable_renewed()->set_certificate(certificate_pem);
  port_.Send(message);
  return Ok();
}

Status Renewal::Renew(const std::shared_ptr<grpc::Channel>& channel) {
  Postpone();
  v1::RenewRequest request;
  TRY(*request.mutable_csr(), Request());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  v1::EnrolResponse response;
  const grpc::Status status = v1::Renewal::NewStub(channel)->Renew(&context, request, &response);
  if (!status.ok()) {
    return MakeError(static_cast<Code>(status.error_code()),
                     "the certificate was not renewed: " + status.error_message());
  }
  return Take(response.certificate());
}

Status Renewal::Rejoin() {
  Postpone();
  v1::EnrolRequest request;
  TRY(*request.mutable_csr(), Request());
  request.set_host_id(credentials_.certificate.common_name);
  request.set_agent_version(config_.agent_version());
  auto response = AskToEnrol({config_.enrol_address(), config_.server_name()}, credentials_.ca_pem,
                             request);
  if (!response) {
    return std::move(response).error().Context(
        "this agent's certificate expired at " + FormatUtc(credentials_.certificate.not_after) +
        ", and no new one was given");
  }
  return Take(response->certificate());
}

}  // namespace culprit
