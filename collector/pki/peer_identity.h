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
#include "common/time.h"

namespace culprit {

enum class PeerRole : std::uint8_t { kAgent = 1, kOperator = 2 };

// What an operator may do; each may do what those before it may. access.h says which calls.
enum class OperatorRole : std::uint8_t { kViewer = 1, kResponder = 2, kAdmin = 3 };
std::string_view NameOf(OperatorRole role);
// "viewer", "responder" or "admin". Errors: kInvalidArgument.
Result<OperatorRole> ParseOperatorRole(std::string_view text);
// The SAN URI that gives the role.
std::string RoleUri(OperatorRole role);

struct PeerIdentity {
  PeerRole role = PeerRole::kAgent;
  OperatorRole operator_role = OperatorRole::kViewer;  // also of one whose certificate names none
  Uuid agent_id;     // of an agent; all zeros for an operator
  std::string name;  // common name
  Sha256Digest cert_sha256{};
  WallTime not_after;
};

// `uri_names` are the SAN URIs of `certificate_pem`. Exactly one must be an identity of ours.
// Errors: kUnauthenticated (no certificate), kPermissionDenied (a certificate without an identity
// here, with two, or with a role that is none or is an agent's).
Result<PeerIdentity> IdentifyPeer(const std::vector<std::string>& uri_names,
                                  std::string_view certificate_pem);
// The same, with the SAN URIs read from the certificate.
Result<PeerIdentity> IdentifyPeer(std::string_view certificate_pem);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_PEER_IDENTITY_H_
