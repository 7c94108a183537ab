// SPDX-License-Identifier: Apache-2.0
#include "collector/enrolment.h"

#include <grpcpp/impl/codegen/service_type.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "collector/enrol/enrol_service.h"
#include "collector/pki/access.h"
#include "collector/pki/client_check.h"
#include "collector/pki/pki.h"
#include "collector/pki/signing_request.h"
#include "common/credentials.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/text.h"

namespace culprit {
namespace {

constexpr int kEnrolThreads = 32;
// Holds no evidence, and is how an operator learns that the disk under the log is full.
constexpr std::string_view kStatusMethod = "/culprit.v1.Query/GetStatus";
constexpr std::size_t kEnrolMemory = 64U << 20;

std::string HexOf(const Sha256Digest& digest) { return HexEncode(AsBytes(digest)); }

std::string ActorOf(const PeerIdentity& peer) {
  return (peer.role == PeerRole::kOperator ? "operator:" : "agent:") + peer.name;
}

struct HandshakeFault {
  std::string_view words, reason, meaning;
};
// What OpenSSL says of those who do not get as far as a certificate.
constexpr std::array kHandshakeFaults = {
    HandshakeFault{"http request", "plaintext", "a peer that does not speak TLS"},
    HandshakeFault{"wrong version number", "plaintext", "a peer that does not speak TLS"},
    HandshakeFault{"packet length too long", "plaintext", "a peer that does not speak TLS"},
    HandshakeFault{"unsupported protocol", "old_tls", "a peer whose TLS is older than 1.2"},
    HandshakeFault{"version too low", "old_tls", "a peer whose TLS is older than 1.2"},
    HandshakeFault{"did not return a certificate", "no_certificate",
                   "a peer without a certificate"},
};

}  // namespace

Result<RegionCertificates> LoadRegionCertificates(const std::vector<std::string>& paths) {
  RegionCertificates all;
  for (const std::string& path : paths) {
    const auto text = ReadWholeFile(path, kMaxRegionFileBytes);
    if (!text && text.error().code == Code::kNotFound) continue;
    if (!text) return text.error();
    auto read = ParseRegionCertificates(*text);
    if (!read) return std::move(read).error().Context(path);
    for (auto& [region, certificates] : *read) {
      std::ranges::move(certificates, std::back_inserter(all[region]));
    }
  }
  return all;
}

Enrolment::Enrolment(const CollectorConfig& config, std::string ca_pem) : config_(config) {
  SetRules({std::move(ca_pem), config.ingest.revoked});
}

std::shared_ptr<const Enrolment::Rules> Enrolment::rules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

void Enrolment::SetRules(Rules rules) {
  auto next = std::make_shared<const Rules>(std::move(rules));
  const std::lock_guard lock(mutex_);
  rules_ = std::move(next);
}

Enrolment::~Enrolment() { Stop(); }

Result<std::unique_ptr<Enrolment>> Enrolment::Open(
    const CollectorConfig& config, std::string ca_pem,
    std::function<void(const SecondEnrolment&)> on_second) {
  std::unique_ptr<Enrolment> out(new Enrolment(config, std::move(ca_pem)));
  TRY(out->audit_, AuditLog::Open({config.audit_dir(), config.audit.segment_bytes}));
  TRY(out->store_, EnrolStore::Open(config.enrol_path()));
  TRY(const RegionCertificates tried, LoadRegionCertificates(config.enrol.aws_certificates));
  static_cast<void>(tried);  // read again when needed: an operator may have added to it
  EnrollerDeps deps;
  deps.store = out->store_.get();
  deps.audit = out->audit_.get();
  deps.issuer = [pki = config.pki()] { return LoadIssuer(pki); };
  deps.region_certificates = [paths = config.enrol.aws_certificates] {
    return LoadRegionCertificates(paths);
  };
  deps.on_second = std::move(on_second);
  EnrolPolicy policy;
  policy.validity = config.enrol.validity;
  policy.document = {config.enrol.aws_accounts, config.enrol.aws_regions, config.enrol.aws_max_age};
  out->enroller_ = std::make_unique<Enroller>(std::move(deps), std::move(policy));
  out->renewal_ = MakeRenewalService(out->enroller_.get());
  out->enrolment_ = MakeEnrolmentService(out->enroller_.get());
  return out;
}

Status Enrolment::Listen(const Credentials& credentials) {
  if (config_.enrol.listen.empty()) return Ok();
  TlsServerOptions options;
  options.listen = config_.enrol.listen;
  options.max_memory_bytes = kEnrolMemory;
  options.max_threads = kEnrolThreads;
  options.max_message_bytes = kMaxEnrolMessageBytes;
  options.client_certificate = ClientCertificate::kNone;
  TRY(server_, StartTlsServer(options, credentials, {enrolment_.get()}));
  spdlog::info("hosts enrol listen={} port={}", config_.enrol.listen, server_->port());
  return Ok();
}

Status Enrolment::Reload(std::vector<std::string> revoked, const Credentials& credentials) {
  if (server_) TRY_VOID(server_->SetCredentials(credentials));
  SetRules({credentials.ca_pem, std::move(revoked)});
  return Ok();
}

void Enrolment::Stop() {
  if (server_) server_->Stop(std::chrono::milliseconds(1000));
  server_.reset();
}

Status Enrolment::CheckCertificate(std::string_view certificate_pem) {
  const WallTime now = ReadWallClock();
  CertificateRefusal refusal = CheckClientCertificate(certificate_pem, rules()->ca_pem, now);
  if (refusal.reason.empty()) return Ok();
  const auto info = ReadCertificate(certificate_pem);
  audit_->AppendBounded({info ? "claims:" + EscapeText(info->common_name.substr(0, 64)) : "unknown",
                         "", "", "handshake", std::string(refusal.reason), refusal.message},
                        now);
  return MakeError(Code::kUnauthenticated, std::move(refusal.message));
}

// The certificate is looked at again, though the handshake has let it in: this is what everything
// stands on, and it may have run out since.
Status Enrolment::CheckCall(std::string_view certificate_pem, std::string_view method) {
  TRY_VOID(CheckCertificate(certificate_pem));
  const WallTime now = ReadWallClock();
  const auto peer = IdentifyPeer(certificate_pem);
  AuditEvent event;
  event.action = std::string(method);
  if (!peer) {
    event.actor = "unknown";
    event.result = "no_identity";
    event.detail = peer.error().message;
    audit_->AppendBounded(std::move(event), now);
    return peer.error();
  }
  event.actor = ActorOf(*peer);
  if (peer->role == PeerRole::kOperator) event.role = NameOf(peer->operator_role);
  const auto key = KeySha256(certificate_pem);
  if (std::string why = WhyNotWelcome({*peer, key ? HexOf(*key) : ""}); !why.empty()) {
    event.result = "revoked";
    event.detail = why;
    audit_->AppendBounded(std::move(event), now);
    return MakeError(Code::kPermissionDenied, std::move(why));
  }
  if (Status may = MayCall(*peer, method); !may) {
    event.result = "denied";
    event.detail = may.error().message;
    audit_->AppendBounded(std::move(event), now);
    return may;
  }
  if (peer->role == PeerRole::kAgent || method == kStatusMethod || audit_->failing().empty()) {
    return Ok();
  }
  event.result = "retry";
  event.detail = "the log could not be written before";
  if (const Status again = audit_->Append(event, now); !again) {
    return Unavailable("no question is answered while it can not be put on record: " +
                       again.error().message + " (`culprit status` works)");
  }
  return Ok();
}

Status Enrolment::Asked(std::string_view certificate_pem, std::string_view method,
                        std::string_view peer_address, const std::string& request_json) {
  const auto peer = IdentifyPeer(certificate_pem);
  if (!peer) return peer.error();
  if (peer->role != PeerRole::kOperator) return Ok();  // a renewal, which has its own line
  const Status noted =
      audit_->Append({ActorOf(*peer), std::string(NameOf(peer->operator_role)),
                      std::string(peer_address), std::string(method), "ok", request_json},
                     ReadWallClock());
  return method == kStatusMethod ? Ok() : noted;
}

void Enrolment::HandshakeFailed(std::string_view what) {
  if (what.find("andshake") == std::string_view::npos) return;
  const auto* fault = std::ranges::find_if(kHandshakeFaults, [&](const HandshakeFault& f) {
    return what.find(f.words) != std::string_view::npos;
  });
  const bool known = fault != kHandshakeFaults.end();
  audit_->AppendBounded({"unknown", "", "", "handshake", std::string(known ? fault->reason : "tls"),
                         known ? std::string(fault->meaning) : EscapeText(what.substr(0, 200))},
                        ReadWallClock());
}

Status Enrolment::Refresh() {
  TRY(const bool changed, store_->Refresh());
  if (changed) spdlog::info("enrolment: what commands changed is in force");
  return Ok();
}

std::string Enrolment::WhyNotWelcome(const ConnectedAgent& agent) const {
  const std::string fingerprint = HexOf(agent.peer.cert_sha256);
  const auto rules_now = rules();
  for (const std::string& entry : rules_now->revoked) {
    if (entry == fingerprint || entry == agent.peer.agent_id.ToString()) {
      return "this certificate was revoked";
    }
  }
  if (agent.peer.not_after < ReadWallClock()) {
    return "this certificate expired at " + FormatUtc(agent.peer.not_after);
  }
  return store_->WhyNotWelcome(agent.peer.agent_id, agent.key_sha256, fingerprint);
}

std::vector<std::string> Enrolment::problems() const {
  std::vector<std::string> out;
  if (const std::string why = audit_->failing(); !why.empty()) {
    out.push_back("audit: " + why +
                  "; operators are not answered and hosts do not enrol until it "
                  "can be written again");
  }
  const std::string ca_key = PkiPathsIn(config_.pki()).ca_key;
  if (server_ && access(ca_key.c_str(), R_OK) != 0) {
    out.push_back("enrol: " + ca_key +
                  " is not there: hosts can neither enrol nor renew; put it "
                  "back, or set enrol.listen = \"\"");
  }
  return out;
}

}  // namespace culprit
