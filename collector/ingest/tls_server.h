// SPDX-License-Identifier: Apache-2.0
// A listening socket of the collector: gRPC over mutual TLS, never anything else; where hosts
// enrol, over TLS in which the server alone shows a certificate, with that of its CA, so that who
// knows the CA by its fingerprint can find it. Stage: ingest (edge: network). Thread: start and
// stop from one thread; gRPC's own threads call the services.
#ifndef CULPRIT_COLLECTOR_INGEST_TLS_SERVER_H_
#define CULPRIT_COLLECTOR_INGEST_TLS_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/ingest/access_guard.h"
#include "common/credentials.h"
#include "common/result.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

// What the server asks of a client: a certificate of the CA, or (where hosts enrol) nothing yet.
enum class ClientCertificate : std::uint8_t { kRequired, kNone };

struct TlsServerOptions {
  std::string listen = "0.0.0.0:7443";         // "ADDRESS:PORT"; port 0 = any free one
  std::size_t max_memory_bytes = 512UL << 20;  // of gRPC's buffers, over all connections
  int max_threads = 8192;                      // one or two a connected agent
  // Above the largest frame with its envelope, so that a frame that is only a little too large is
  // refused by our own check.
  int max_message_bytes = 4 << 20;
  ClientCertificate client_certificate = ClientCertificate::kRequired;
  // Verifies certificates, decides on calls and is told what is asked; outlives the server.
  // nullptr: the TLS library verifies, and the services look at the role.
  AccessGuard* guard = nullptr;
};

class TlsServer {
 public:
  virtual ~TlsServer() = default;
  virtual int port() const = 0;
  // For connections that come a second later and after; those that there are go on. Errors: nothing
  // changes.
  virtual Status SetCredentials(const Credentials& credentials) = 0;
  // Ends the calls that are still running after `drain`, then returns.
  virtual void Stop(std::chrono::milliseconds drain) = 0;
};

// Unless kNone, every client must present a certificate of the CA in `credentials`; TLS >= 1.2.
// Borrows the services. Errors: kInvalidArgument (address), kAlreadyExists (port in use),
// kPermissionDenied (port < 1024), each with the remedy.
Result<std::unique_ptr<TlsServer>> StartTlsServer(const TlsServerOptions& options,
                                                  const Credentials& credentials,
                                                  const std::vector<grpc::Service*>& services);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_TLS_SERVER_H_
