// SPDX-License-Identifier: Apache-2.0
// Who the peer is and what it may do, from the certificate that the TLS handshake has verified, and
// from nothing else. Stage: pki. Pure. Thread: values. Total on any bytes.
#ifndef CULPRIT_COLLECTOR_PKI_PEER_IDENTITY_H_
#define CULPRIT_COLLECTOR_PKI_PEER_IDENTITY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "common/sha256.h"

namespace culprit {

enum class PeerRole : std::uint8_t { kAgent = 1, kOperator = 2 };

struct PeerIdentity {
  PeerRole role = PeerRole::kAgent;
  Uuid agent_id;     // of an agent; all zeros for an operator
  std::string name;  // common name
  Sha256Digest cert_sha256{};
};

// `uri_names` are the SAN URIs of `certificate_pem`. Exactly one must be an identity of ours.
// Errors: kUnauthenticated (no certificate), kPermissionDenied (a certificate without a role here,
// or with two).
Result<PeerIdentity> IdentifyPeer(const std::vector<std::string>& uri_names,
                                  std::string_view certificate_pem);
// The same, with the SAN URIs read from the certificate.
Result<PeerIdentity> IdentifyPeer(std::string_view certificate_pem);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_PEER_IDENTITY_H_
