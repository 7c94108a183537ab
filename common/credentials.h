// SPDX-License-Identifier: Apache-2.0
// Reads and checks the three PEM files that a TLS peer of Culprit needs: CA, own certificate, own
// key. Used by both daemons at start and by both `check-config`s, so that a bad file has the same
// words everywhere.
//
// Stage: common, edge (reads files). Thread: pure apart from the files. Key material never gets
// into a message.
#ifndef CULPRIT_COMMON_CREDENTIALS_H_
#define CULPRIT_COMMON_CREDENTIALS_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/sha256.h"
#include "common/time.h"

namespace culprit {

struct CredentialPaths {
  std::string ca, certificate, key;  // PEM files
};

// What a certificate says. Text fields are what stands in the certificate: claims until the chain
// is verified.
struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> uri_names;   // SAN URIs
  std::vector<std::string> host_names;  // SAN DNS names and addresses, as text
  WallTime not_before, not_after;
  Sha256Digest sha256{};  // of the DER form
};

struct Credentials {
  std::string ca_pem, certificate_pem, key_pem;
  CertificateInfo certificate;
};

// The whole file, at most 256 KiB. Errors: name the file.
Result<std::string> ReadPemFile(const std::string& path);

// Errors: kInvalidArgument if `pem` does not start with a certificate.
Result<CertificateInfo> ReadCertificate(std::string_view pem);

// Reads the three files and checks that they are PEM and that the key belongs to the certificate.
// Errors: kNotFound, kPermissionDenied (each names the file), kInvalidArgument (malformed, or key
// of another certificate).
Result<Credentials> LoadCredentials(const CredentialPaths& paths);

// That the certificate is valid at `now` and signed by the CA, and that the CA is valid at `now`.
// Errors: kFailedPrecondition (expired, or not yet valid: check the clock), kInvalidArgument (other
// CA).
Status CheckCredentials(const Credentials& credentials, WallTime now);

// LoadCredentials and CheckCredentials; every error names the file and the remedy.
Result<Credentials> CheckCredentials(const CredentialPaths& paths, WallTime now);

}  // namespace culprit

#endif  // CULPRIT_COMMON_CREDENTIALS_H_
