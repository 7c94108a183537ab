// SPDX-License-Identifier: Apache-2.0
// The collector's own small certificate authority: makes the CA, the server's certificate, the
// journal key and the credentials of agents and operators. ECDSA P-256 for TLS, Ed25519 for the
// journal's seals.
//
// Stage: pki (edge: files). Thread: any, one caller a directory. Never overwrites a file; keys are
// created with mode 0600. The role of a peer is in its certificate's SAN URI
// (spiffe://culprit/agent/UUID, spiffe://culprit/operator/NAME).
#ifndef CULPRIT_COLLECTOR_PKI_PKI_H_
#define CULPRIT_COLLECTOR_PKI_PKI_H_

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "collector/pki/certificate_builder.h"
#include "collector/pki/peer_identity.h"
#include "common/credentials.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct PkiPaths {
  std::string directory;
  CredentialPaths server;                       // ca.pem, server.pem, server.key
  std::string ca_key;                           // ca.key
  std::string journal_key, journal_public_key;  // journal.key, journal.pub
  CredentialPaths operator_credentials;         // ca.pem, operator.pem, operator.key
};
PkiPaths PkiPathsIn(const std::string& directory);

struct PkiOptions {
  // Names and addresses that agents and operators may dial, besides localhost, 127.0.0.1, ::1 and
  // the hostname.
  std::vector<std::string> server_names;
  std::chrono::hours ca_validity{24 * 3650};
  std::chrono::hours leaf_validity{24 * 825};
  // Certificates are valid from this long before `now`, for peers whose clock is a little behind.
  std::chrono::minutes backdate{60};
  WallTime now = ReadWallClock();
};

struct InitOutcome {
  bool created = false;  // false: everything was there already, nothing was touched
  PkiPaths paths;
  std::vector<std::string> server_names;  // those in the server's certificate
};

// Makes what is missing in `directory` (created with mode 0700). Running it again is harmless, and
// adds a missing server or operator certificate without touching the CA. Errors: unwritable
// directory, a certificate without its key.
Result<InitOutcome> InitPki(const std::string& directory, const PkiOptions& options);

struct IssuedCredentials {
  CredentialPaths paths;
  Uuid agent_id;  // all zeros for an operator
};

// Writes OUT/ca.pem, OUT/agent.pem and OUT/agent.key for a new agent id. `name` is 1-64 characters
// of [A-Za-z0-9._-]. Errors: kAlreadyExists if one of the files exists; kNotFound if `directory`
// was not initialised.
Result<IssuedCredentials> IssueAgent(const std::string& directory, const std::string& name,
                                     const std::string& out_directory, const PkiOptions& options);
// Likewise OUT/operator.pem and OUT/operator.key.
Result<IssuedCredentials> IssueOperator(const std::string& directory, const std::string& name,
                                        OperatorRole role, const std::string& out_directory,
                                        const PkiOptions& options);

// The authority itself, for who issues. Errors: kNotFound if its key is not in `directory`.
Result<Issuer> LoadIssuer(const std::string& directory);
// 1-64 characters of [A-Za-z0-9._-]: what may be a name in a certificate.
bool IsCertificateName(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_PKI_H_
