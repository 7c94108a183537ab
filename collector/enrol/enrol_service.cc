// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/enrol_service.h"

#include <grpcpp/grpcpp.h>

#include <mutex>

#include "collector/pki/grpc_peer.h"
#include "common/log.h"
#include "common/rate_limit.h"
#include "culprit/v1/enrol.grpc.pb.h"

namespace culprit {
namespace {

grpc::Status Answer(const Result<EnrolGrant>& grant, v1::EnrolResponse* response) {
  if (!grant) return ToGrpcStatus(grant.error());
  response->set_certificate(grant->certificate_pem);
  response->set_ca(grant->ca_pem);
  response->set_agent_id(grant->agent_id.ToString());
  response->set_not_after_ns(ToNs(grant->not_after));
  return grpc::Status::OK;
}

class EnrolmentService final : public v1::Enrolment::Service {
 public:
  explicit EnrolmentService(Enroller* enroller) : enroller_(*enroller) {}

  grpc::Status Enrol(grpc::ServerContext* context, const v1::EnrolRequest* request,
                     v1::EnrolResponse* response) override {
    {
      const std::lock_guard lock(mutex_);
      if (!limit_.Take(1, std::chrono::steady_clock::now())) {
        return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many hosts enrol at once: try later"};
      }
    }
    EnrolAsk ask;
    ask.csr = request->csr();
    ask.host_id = request->host_id();
    ask.hostname = request->hostname();
    ask.agent_version = request->agent_version();
    ask.token = request->token();
    ask.document = request->document().document();
    ask.signature = request->document().rsa2048();
    ask.peer = context->peer();
    const auto grant = enroller_.Enrol(ask);
    if (grant) {
      spdlog::info("host enrolled host={} agent={} peer={}", ask.host_id,
                   grant->agent_id.ToString(), ask.peer);
    } else if (const auto n = log_.Allow(); n > 0) {
      spdlog::warn("enrolment refused host={} peer={} times={} why=\"{}\"", ask.host_id, ask.peer,
                   n, grant.error().message);
    }
    return Answer(grant, response);
  }

 private:
  Enroller& enroller_;
  std::mutex mutex_;
  RateLimit limit_{kEnrolsPerSecond, kEnrolBurst};
  LogLimit log_{std::chrono::seconds(1)};
};

class RenewalService final : public v1::Renewal::Service {
 public:
  explicit RenewalService(Enroller* enroller) : enroller_(*enroller) {}

  grpc::Status Renew(grpc::ServerContext* context, const v1::RenewRequest* request,
                     v1::EnrolResponse* response) override {
    const auto peer = RequirePeer(*context, PeerRole::kAgent);
    if (!peer) return ToGrpcStatus(peer.error());
    const std::string pem = PeerCertificate(*context);
    return Answer(enroller_.Renew(*peer, pem, request->csr(), context->peer()), response);
  }

 private:
  Enroller& enroller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeEnrolmentService(Enroller* enroller) {
  return std::make_unique<EnrolmentService>(enroller);
}
std::unique_ptr<grpc::Service> MakeRenewalService(Enroller* enroller) {
  return std::make_unique<RenewalService>(enroller);
}

}  // namespace culprit
