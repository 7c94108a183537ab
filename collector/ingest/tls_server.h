// SPDX-License-Identifier: Apache-2.0
// The one listening socket of the collector: gRPC over mutual TLS, never anything else. Hosts the
// ingest and the query service. Stage: ingest (edge: network). Thread: start and stop from one
// thread; gRPC's own threads call the services.
#ifndef CULPRIT_COLLECTOR_INGEST_TLS_SERVER_H_
#define CULPRIT_COLLECTOR_INGEST_TLS_SERVER_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "common/credentials.h"
#include "common/result.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

struct TlsServerOptions {
  std::string listen = "0.0.0.0:7443";         // "ADDRESS:PORT"; port 0 = any free one
  std::size_t max_memory_bytes = 512UL << 20;  // of gRPC's buffers, over all connections
  int max_threads = 8192;                      // one or two a connected agent
};

class TlsServer {
 public:
  virtual ~TlsServer() = default;
  virtual int port() const = 0;
  // Ends the calls that are still running after `drain`, then returns.
  virtual void Stop(std::chrono::milliseconds drain) = 0;
};

// Every client must present a certificate of the CA in `credentials`; TLS >= 1.2. Borrows the
// services. Errors: kInvalidArgument (address), kAlreadyExists (port in use), kPermissionDenied
// (port < 1024), each with the remedy.
Result<std::unique_ptr<TlsServer>> StartTlsServer(const TlsServerOptions& options,
                                                  const Credentials& credentials,
                                                  const std::vector<grpc::Service*>& services);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_TLS_SERVER_H_
