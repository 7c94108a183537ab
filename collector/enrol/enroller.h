// SPDX-License-Identifier: Apache-2.0
// Decides who becomes an agent: takes a request, its proof (a join token, or the instance identity
// document), and issues a certificate for the key in it. Every decision has a line in the audit log.
//
// A host enrols once. Who asks again with the same key gets a certificate again (the answer was
// lost, or the certificate ran out while the host was off): holding the key is the proof. Who asks
// with another key is refused, unless an operator has allowed it, and is reported either way: a
// reinstalled host and an impostor look the same from here.
//
// Stage: enrol (edge: store, audit log, CA key). Thread: any; decisions are taken one by one.
#ifndef CULPRIT_COLLECTOR_ENROL_ENROLLER_H_
#define CULPRIT_COLLECTOR_ENROL_ENROLLER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "collector/audit/audit_log.h"
#include "collector/enrol/enrol_store.h"
#include "collector/enrol/identity_document.h"
#include "collector/pki/certificate_builder.h"
#include "collector/pki/peer_identity.h"
#include "common/result.h"

namespace culprit {

struct EnrolAsk {
  std::string csr;  // DER
  // Claims: "i-0abc…" or "machine-…", host name, version.
  std::string host_id, hostname, agent_version;
  std::string token;                // empty = none
  std::string document, signature;  // as IMDS gives them; empty = none
  std::string peer;                 // as the transport tells it
};

struct EnrolGrant {
  std::string certificate_pem, ca_pem;
  Uuid agent_id;
  WallTime not_after;
};

struct SecondEnrolment {
  EnrolledHost before;  // as it was
  std::string proof;  // "document", "token ID"
  std::string peer;
  bool accepted = false;
  WallTime at;
};

struct EnrolPolicy {
  std::chrono::seconds validity = std::chrono::hours(24);
  DocumentPolicy document;
};

struct EnrollerDeps {
  EnrolStore* store = nullptr;
  AuditLog* audit = nullptr;
  // Read for each certificate: the CA's key is not kept in memory.
  std::function<Result<Issuer>()> issuer;
  std::function<Result<RegionCertificates>()> region_certificates;
  std::function<void(const SecondEnrolment&)> on_second;
  WallTime (*clock)() = &ReadWallClock;
};

class Enroller {
 public:
  Enroller(EnrollerDeps deps, EnrolPolicy policy)
      : deps_(std::move(deps)), policy_(std::move(policy)) {}

  // Errors: kInvalidArgument (malformed), kPermissionDenied (the proof does not count),
  // kAlreadyExists (a second enrolment), kFailedPrecondition (the CA's key is not there),
  // kUnavailable (nothing can be written now).
  Result<EnrolGrant> Enrol(const EnrolAsk& ask);
  // For the agent whose certificate this is, and for the key in it. Errors likewise.
  Result<EnrolGrant> Renew(const PeerIdentity& peer, std::string_view certificate_pem,
                           const std::string& csr, const std::string& address);

 private:
  struct Proof {
    std::string method;      // "document", "token ID", "key"
    std::string token_hash;  // to be used up
    std::string binding;
  };
  Checked<EnrolGrant> Decide(const EnrolAsk& ask, WallTime now);
  Checked<Proof> CheckProof(const EnrolAsk& ask, WallTime now);
  Checked<Proof> CheckToken(const EnrolAsk& ask, WallTime now);
  Checked<Proof> CheckDocument(const EnrolAsk& ask, WallTime now);
  Checked<EnrolGrant> DecideRenewal(const PeerIdentity& peer, std::string_view certificate_pem,
                                    const std::string& csr, WallTime now);
  Checked<EnrolGrant> Issue(EnrolledHost* host, const std::string& public_key_der, WallTime now);
  Result<EnrolGrant> Record(AuditEvent event, Checked<EnrolGrant> decided, bool stranger,
                            WallTime now);

  const EnrollerDeps deps_;
  const EnrolPolicy policy_;
  std::mutex mutex_;  // held while it decides
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROL_ENROLLER_H_
