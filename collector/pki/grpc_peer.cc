// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/grpc_peer.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

namespace culprit {

std::string PeerCertificate(const grpc::ServerContext& context) {
  const auto auth = context.auth_context();
  if (!auth || !auth->IsPeerAuthenticated()) return {};
  const auto pem = auth->FindPropertyValues("x509_pem_cert");
  return pem.size() == 1 ? std::string(pem[0].data(), pem[0].size()) : std::string();
}

Result<PeerIdentity> IdentifyPeer(const grpc::ServerContext& context) {
  return IdentifyPeer(PeerCertificate(context));
}

Result<PeerIdentity> RequirePeer(const grpc::ServerContext& context, PeerRole role) {
  TRY(PeerIdentity peer, IdentifyPeer(context));
  if (peer.role != role) {
    return MakeError(Code::kPermissionDenied,
                     role == PeerRole::kAgent
                         ? "this call needs an agent's certificate, not an operator's"
                         : "this call needs an operator's certificate, not an agent's");
  }
  return peer;
}

grpc::Status ToGrpcStatus(const Error& error) {
  return {static_cast<grpc::StatusCode>(error.code), error.message};
}

}  // namespace culprit
