// SPDX-License-Identifier: Apache-2.0
// Who gets in, asked by the TLS server at three gates: the handshake, the beginning of a call, and
// its question. The wiring answers (it has the CA, what was revoked, and the audit log).
// Stage: ingest (interface). Thread: any, gRPC's; must not block for longer than a write to disk.
#ifndef CULPRIT_COLLECTOR_INGEST_ACCESS_GUARD_H_
#define CULPRIT_COLLECTOR_INGEST_ACCESS_GUARD_H_

#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

class AccessGuard {
 public:
  virtual ~AccessGuard() = default;

  // The client's certificate, which nobody has verified before. An error ends the handshake.
  virtual Status CheckCertificate(std::string_view certificate_pem) = 0;
  // Before the service sees anything of a call. `method`: "/culprit.v1.Query/Top". The error goes to
  // the caller.
  virtual Status CheckCall(std::string_view certificate_pem, std::string_view method) = 0;
  // What is asked, as JSON, before it is answered; not of agents' calls. An error cancels the call.
  virtual Status Asked(std::string_view certificate_pem, std::string_view method,
                       std::string_view peer, const std::string& request_json) = 0;
  // A peer that got no further than the handshake, in the words of the TLS library.
  virtual void HandshakeFailed(std::string_view what) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_ACCESS_GUARD_H_
