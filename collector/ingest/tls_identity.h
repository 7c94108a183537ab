// SPDX-License-Identifier: Apache-2.0
// TlsIdentity: key, certificate and CA of a listening socket, which can be exchanged while it
// listens. gRPC of this age takes new ones only from files that it looks at itself, once a second;
// these lie in memory files, so that no key is written to a disk once more and that a half-written
// pair is never seen. Connections that there are go on with what they began with.
//
// Stage: ingest (edge: gRPC, descriptors). Thread: Set() from one thread; gRPC's own thread reads.
#ifndef CULPRIT_COLLECTOR_INGEST_TLS_IDENTITY_H_
#define CULPRIT_COLLECTOR_INGEST_TLS_IDENTITY_H_

#include <cstdint>
#include <memory>

#include "common/credentials.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace grpc::experimental {
class CertificateProviderInterface;
}  // namespace grpc::experimental

namespace culprit {

class TlsIdentity {
 public:
  // `show_ca`: clients are shown the CA's certificate behind the server's.
  static Result<std::unique_ptr<TlsIdentity>> Make(const Credentials& credentials, bool show_ca);

  // In force for new connections within about a second. Errors: of memory files; nothing changes.
  Status Set(const Credentials& credentials);
  // Gives the pair, and the CA as root. Must not outlive this.
  const std::shared_ptr<grpc::experimental::CertificateProviderInterface>& provider() const {
    return provider_;
  }

 private:
  explicit TlsIdentity(bool show_ca) : show_ca_(show_ca) {}

  const bool show_ca_;
  std::int64_t generation_ = 0;
  UniqueFd pair_, ca_;  // their numbers stay, what they stand for changes
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> provider_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_TLS_IDENTITY_H_
