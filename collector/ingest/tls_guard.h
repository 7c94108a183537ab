// SPDX-License-Identifier: Apache-2.0
// Puts an AccessGuard into a gRPC server: its credentials, its calls, its messages and its log.
// Stage: ingest (edge: gRPC). Thread: set up by one; gRPC's threads call the guard.
#ifndef CULPRIT_COLLECTOR_INGEST_TLS_GUARD_H_
#define CULPRIT_COLLECTOR_INGEST_TLS_GUARD_H_

#include <memory>

#include "collector/ingest/access_guard.h"
#include "collector/ingest/tls_identity.h"

namespace grpc {
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

namespace culprit {

// Mutual TLS in which the guard verifies: gRPC asks for a certificate and insists on one, and
// leaves the verdict to the guard, which alone can say why not. Every call is checked, too.
std::shared_ptr<grpc::ServerCredentials> GuardedTls(const TlsIdentity& identity,
                                                    AccessGuard* guard);
// Tells the guard what is asked.
void AddAudit(AccessGuard* guard, grpc::ServerBuilder* builder);
// gRPC's own lines, all that there is of handshakes that fail, go to the log at most so often, and
// to the guard. nullptr: no longer.
void SetLogGuard(AccessGuard* guard);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_TLS_GUARD_H_
