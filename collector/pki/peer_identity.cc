// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/peer_identity.h"

#include <algorithm>
#include <optional>

#include "common/credentials.h"

namespace culprit {
namespace {

constexpr std::string_view kAgentPrefix = "spiffe://culprit/agent/";
constexpr std::string_view kOperatorPrefix = "spiffe://culprit/operator/";
constexpr std::string_view kRolePrefix = "spiffe://culprit/role/";
constexpr std::size_t kMaxNameBytes = 64;
constexpr OperatorRole kRoles[] = {OperatorRole::kViewer, OperatorRole::kResponder,
                                   OperatorRole::kAdmin};

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::optional<PeerIdentity> Parse(std::string_view uri) {
  PeerIdentity peer;
  if (uri.starts_with(kAgentPrefix)) {
    const auto id = Uuid::Parse(uri.substr(kAgentPrefix.size()));
    if (!id || *id == Uuid{}) return std::nullopt;
    peer.role = PeerRole::kAgent;
    peer.agent_id = *id;
    return peer;
  }
  if (uri.starts_with(kOperatorPrefix) && IsName(uri.substr(kOperatorPrefix.size()))) {
    peer.role = PeerRole::kOperator;
    return peer;
  }
  return std::nullopt;
}

// An agent has none, an operator one at most.
Status ReadRole(const std::vector<std::string>& uri_names, PeerIdentity* peer) {
  bool found = false;
  for (const std::string& uri : uri_names) {
    if (!uri.starts_with(kRolePrefix)) continue;
    const auto role = ParseOperatorRole(std::string_view(uri).substr(kRolePrefix.size()));
    if (!role || found || peer->role != PeerRole::kOperator) {
      return MakeError(Code::kPermissionDenied, "the certificate's role is none that there is");
    }
    found = true;
    peer->operator_role = *role;
  }
  return Ok();
}

}  // namespace

std::string_view NameOf(OperatorRole role) {
  return role == OperatorRole::kAdmin       ? "admin"
         : role == OperatorRole::kResponder ? "responder"
                                            : "viewer";
}

Result<OperatorRole> ParseOperatorRole(std::string_view text) {
  for (const OperatorRole role : kRoles) {
    if (text == NameOf(role)) return role;
  }
  return InvalidArgument("a role is viewer, responder or admin");
}

std::string RoleUri(OperatorRole role) {
  return std::string(kRolePrefix) + std::string(NameOf(role));
}

Result<PeerIdentity> IdentifyPeer(const std::vector<std::string>& uri_names,
                                  std::string_view certificate_pem) {
  if (certificate_pem.empty()) {
    return MakeError(Code::kUnauthenticated, "no client certificate");
  }
  TRY(const CertificateInfo info, ReadCertificate(certificate_pem));
  std::optional<PeerIdentity> found;
  for (const std::string& uri : uri_names) {
    const auto peer = Parse(uri);
    if (!peer) continue;
    if (found) return MakeError(Code::kPermissionDenied, "the certificate has two identities");
    found = peer;
  }
  if (!found || !IsName(info.common_name)) {
    return MakeError(Code::kPermissionDenied,
                     "the certificate is neither an agent's nor an operator's");
  }
  TRY_VOID(ReadRole(uri_names, &*found));
  found->name = info.common_name;
  found->not_after = info.not_after;
  found->cert_sha256 = info.sha256;
  return *found;
}

Result<PeerIdentity> IdentifyPeer(std::string_view certificate_pem) {
  if (certificate_pem.empty()) {
    return MakeError(Code::kUnauthenticated, "no client certificate");
  }
  TRY(const CertificateInfo info, ReadCertificate(certificate_pem));
  return IdentifyPeer(info.uri_names, certificate_pem);
}

}  // namespace culprit
