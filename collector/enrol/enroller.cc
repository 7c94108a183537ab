// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/enroller.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

#include "collector/enrol/join_token.h"
#include "collector/pki/pki.h"
#include "collector/pki/signing_request.h"
#include "common/hex.h"
#include "common/text.h"

namespace culprit {
namespace {

constexpr auto kMostBackdate = std::chrono::minutes(60);  // for hosts whose clock is behind
constexpr auto kLeastBetweenRenewals = std::chrono::seconds(60);

tl::unexpected<EnrolRefusal> Refuse(std::string reason, std::string message,
                                    Code code = Code::kPermissionDenied) {
  return tl::unexpected(EnrolRefusal{std::move(reason), MakeError(code, std::move(message))});
}
tl::unexpected<EnrolRefusal> Refuse(std::string reason, Error error) {
  return tl::unexpected(EnrolRefusal{std::move(reason), std::move(error)});
}
// Nobody's fault: the collector cannot do it now.
tl::unexpected<EnrolRefusal> Broken(Error error) {
  return Refuse("collector", std::move(error).Context("the collector can not enrol hosts now"));
}

std::string HexOf(const Sha256Digest& digest) { return HexEncode(AsBytes(digest)); }

tl::unexpected<EnrolRefusal> RefuseSecond(const EnrolledHost& known) {
  return Refuse("second_enrolment",
                fmt::format("{} has enrolled already, at {} with another key; if it was "
                            "reinstalled, run `culprit-collector allow {}`, then try again",
                            known.host_id, FormatUtc(known.enrolled), known.host_id),
                Code::kAlreadyExists);
}
tl::unexpected<EnrolRefusal> RefuseRevoked(const EnrolledHost& known) {
  return Refuse("revoked", fmt::format("{} was revoked at {}: {}", known.host_id,
                                       FormatUtc(known.revoked), known.revoked_why));
}

}  // namespace

Result<EnrolGrant> Enroller::Enrol(const EnrolAsk& ask) {
  const WallTime now = deps_.clock();
  AuditEvent event;
  event.peer = ask.peer;
  event.action = "enrol";
  event.actor = "claims:" + ask.host_id.substr(0, 64);
  const std::lock_guard lock(mutex_);
  return Record(std::move(event), Decide(ask, now), true, now);
}

Result<EnrolGrant> Enroller::Renew(const PeerIdentity& peer, std::string_view certificate_pem,
                                   const std::string& csr, const std::string& address) {
  const WallTime now = deps_.clock();
  AuditEvent event;
  event.peer = address;
  event.action = "renew";
  event.actor = "agent:" + peer.name;
  const std::lock_guard lock(mutex_);
  return Record(std::move(event), DecideRenewal(peer, certificate_pem, csr, now), false, now);
}

// What is granted is on record before it is given out.
Result<EnrolGrant> Enroller::Record(AuditEvent event, Checked<EnrolGrant> decided, bool stranger,
                                    WallTime now) {
  if (!decided) {
    event.result = decided.error().reason;
    event.detail = decided.error().error.message;
    if (stranger) {
      deps_.audit->AppendBounded(std::move(event), now);
    } else {
      static_cast<void>(deps_.audit->Append(event, now));
    }
    return decided.error().error;
  }
  event.result = "ok";
  event.detail = fmt::format("agent {} until {}", decided->agent_id.ToString(),
                             FormatUtc(decided->not_after));
  if (const Status written = deps_.audit->Append(event, now); !written) {
    return Unavailable("nothing is granted while the audit log can not be written: " +
                       written.error().message);
  }
  return std::move(*decided);
}

Checked<EnrolGrant> Enroller::Decide(const EnrolAsk& ask, WallTime now) {
  if (!IsCertificateName(ask.host_id)) {
    return Refuse("host_id", "a host id is 1-64 letters, digits, '.', '_' or '-'",
                  Code::kInvalidArgument);
  }
  const auto csr = ReadSigningRequest(ask.csr);
  if (!csr) return Refuse("signing_request", csr.error());
  if (csr->common_name != ask.host_id) {
    return Refuse("signing_request", "the signing request is for another host",
                  Code::kInvalidArgument);
  }
  auto known = deps_.store->FindHost(ask.host_id);
  if (!known) return Broken(known.error());
  const std::string key = HexOf(csr->key_sha256);
  if (*known && (*known)->key == key) {
    EnrolledHost& host = **known;
    if (ToNs(host.revoked) != 0) return RefuseRevoked(host);
    auto grant = Issue(&host, csr->public_key_der, now);
    if (!grant) return grant;
    const Status kept = deps_.store->Renewed(host.agent_id, now, host.not_after);
    return kept ? std::move(grant) : Broken(kept.error());
  }
  auto proof = CheckProof(ask, now);
  if (!proof) return tl::unexpected(proof.error());
  if (*known) {
    const bool may = (*known)->may_enrol_again;
    if (deps_.on_second) deps_.on_second({**known, proof->method, ask.peer, may, now});
    if (!may && ToNs((*known)->revoked) != 0) return RefuseRevoked(**known);
    if (!may) return RefuseSecond(**known);
  }
  EnrolledHost host;
  host.host_id = host.name = ask.host_id;
  // The host goes on under its id: its old key is not welcome any more (EnrolStore::WhyNotWelcome).
  host.agent_id = *known ? (*known)->agent_id : Uuid::Random();
  host.method = proof->method;
  host.binding = proof->binding;
  host.key = key;
  host.enrolled = host.renewed = now;
  auto grant = Issue(&host, csr->public_key_der, now);
  if (!grant) return grant;
  const Status kept = deps_.store->Enrol(host, proof->token_hash);
  if (kept) return grant;
  const bool used_up = kept.error().code == Code::kFailedPrecondition;
  return used_up ? Refuse("token_used_up", kept.error()) : Broken(kept.error());
}

Checked<Enroller::Proof> Enroller::CheckProof(const EnrolAsk& ask, WallTime now) {
  if (!ask.document.empty()) return CheckDocument(ask, now);
  if (!ask.token.empty()) return CheckToken(ask, now);
  return Refuse("no_proof",
                "this host is not known here with this key, and brings neither a join token nor an "
                "identity document: make a token with `culprit-collector token create`");
}

Checked<Enroller::Proof> Enroller::CheckToken(const EnrolAsk& ask, WallTime now) {
  const std::string make = ": make a new one with `culprit-collector token create`";
  if (!IsToken(ask.token)) {
    return Refuse("token_format", "what was given is not a join token", Code::kInvalidArgument);
  }
  const std::string hash = TokenHash(ask.token), id = TokenId(hash);
  const auto token = deps_.store->FindToken(hash);
  if (!token) return Broken(token.error());
  if (!*token) return Refuse("token_unknown", "this join token is not one of this collector's");
  if (ToNs((*token)->revoked) != 0) {
    return Refuse("token_revoked", fmt::format("the join token {} was revoked at {}{}", id,
                                               FormatUtc((*token)->revoked), make));
  }
  if (now > (*token)->expires) {
    return Refuse("token_expired", fmt::format("the join token {} expired at {}{}", id,
                                               FormatUtc((*token)->expires), make));
  }
  if ((*token)->uses >= (*token)->max_uses) {
    return Refuse("token_used_up",
                  fmt::format("the join token {} has been used {} of {} times{}", id,
                              (*token)->uses, (*token)->max_uses, make));
  }
  if (!(*token)->host.empty() && (*token)->host != ask.host_id) {
    return Refuse("token_host", fmt::format("the join token {} is for host {}, not for {}", id,
                                            (*token)->host, ask.host_id));
  }
  return Proof{"token " + id, hash, "claimed/" + ask.host_id};
}

Checked<Enroller::Proof> Enroller::CheckDocument(const EnrolAsk& ask, WallTime now) {
  if (policy_.document.accounts.empty()) {
    return Refuse("documents_off",
                  "this collector takes no identity documents: set enrol.aws_accounts, or use a "
                  "join token");
  }
  const auto certificates = deps_.region_certificates();
  if (!certificates) return Broken(certificates.error());
  const auto document =
      VerifyIdentityDocument(ask.document, ask.signature, *certificates, now);
  if (!document) return tl::unexpected(document.error());
  if (document->instance_id != ask.host_id) {
    return Refuse("other_instance",
                  fmt::format("the document is of instance {}, the request of {}",
                              document->instance_id, ask.host_id));
  }
  if (const auto fits = CheckDocumentPolicy(*document, policy_.document, now); !fits) {
    return tl::unexpected(fits.error());
  }
  return Proof{"document", "",
               fmt::format("aws/{}/{}/{}", document->account, document->region,
                           document->instance_id)};
}

Checked<EnrolGrant> Enroller::DecideRenewal(const PeerIdentity& peer,
                                            std::string_view certificate_pem,
                                            const std::string& csr_der, WallTime now) {
  const auto csr = ReadSigningRequest(csr_der);
  if (!csr) return Refuse("signing_request", csr.error());
  auto host = deps_.store->FindHost(peer.name);
  if (!host) return Broken(host.error());
  if (!*host || (*host)->agent_id != peer.agent_id) {
    return Refuse("not_enrolled",
                  "this agent's certificate was made by hand: make the next one by hand, too, or "
                  "enrol the host");
  }
  if (ToNs((*host)->revoked) != 0) return RefuseRevoked(**host);
  const auto key = KeySha256(certificate_pem);
  if (!key || *key != csr->key_sha256 || HexOf(*key) != (*host)->key) {
    return Refuse("other_key", "a certificate is renewed for the key that it is for");
  }
  const auto least = std::min<std::chrono::nanoseconds>(kLeastBetweenRenewals,
                                                        policy_.validity / 10);
  if (now - (*host)->renewed < least && now >= (*host)->renewed) {
    return Refuse("too_often", "this certificate was renewed just now", Code::kResourceExhausted);
  }
  auto grant = Issue(&**host, csr->public_key_der, now);
  if (!grant) return grant;
  const Status kept = deps_.store->Renewed(peer.agent_id, now, (*host)->not_after);
  return kept ? std::move(grant) : Broken(kept.error());
}

Checked<EnrolGrant> Enroller::Issue(EnrolledHost* host, const std::string& public_key_der,
                                    WallTime now) {
  const auto issuer = deps_.issuer();
  if (!issuer) return Broken(issuer.error());
  CertificateRequest request;
  request.common_name = host->name;
  request.uri = "spiffe://culprit/agent/" + host->agent_id.ToString();
  request.second_uri = "spiffe://culprit/host/" + host->binding;
  request.not_before =
      now - std::min<std::chrono::nanoseconds>(kMostBackdate, policy_.validity / 8);
  request.not_after = host->not_after = now + policy_.validity;
  auto certificate = IssueCertificate(request, public_key_der, *issuer);
  if (!certificate) return Broken(certificate.error());
  return EnrolGrant{std::move(*certificate), issuer->certificate_pem, host->agent_id,
                    host->not_after};
}

}  // namespace culprit
