// SPDX-License-Identifier: Apache-2.0
// The thin adapter from a gRPC call to PeerIdentity. Library culprit_collector_pki_grpc, so that
// pki itself is free of gRPC. Stage: pki (edge). Thread: any.
#ifndef CULPRIT_COLLECTOR_PKI_GRPC_PEER_H_
#define CULPRIT_COLLECTOR_PKI_GRPC_PEER_H_

#include <string>

#include "collector/pki/peer_identity.h"
#include "common/result.h"

namespace grpc {
class ServerContext;
class Status;
}  // namespace grpc

namespace culprit {

// Errors: kUnauthenticated, kPermissionDenied.
Result<PeerIdentity> IdentifyPeer(const grpc::ServerContext& context);
// The same, and the peer must have `role`. Query calls start with RequirePeer(context,
// PeerRole::kOperator).
Result<PeerIdentity> RequirePeer(const grpc::ServerContext& context, PeerRole role);
// PEM of the certificate that the handshake took; empty = none.
std::string PeerCertificate(const grpc::ServerContext& context);
// Code by number; message as it is.
grpc::Status ToGrpcStatus(const Error& error);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_GRPC_PEER_H_
