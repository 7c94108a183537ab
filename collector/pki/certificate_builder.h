// SPDX-License-Identifier: Apache-2.0
// Makes keys and X.509 certificates with OpenSSL. Stage: pki. Pure apart from the random numbers.
// Thread: any.
#ifndef CULPRIT_COLLECTOR_PKI_CERTIFICATE_BUILDER_H_
#define CULPRIT_COLLECTOR_PKI_CERTIFICATE_BUILDER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/time.h"

namespace culprit {

enum class CertificateUsage : std::uint8_t { kCa, kServer, kClient };

struct CertificateRequest {
  std::string common_name;
  CertificateUsage usage = CertificateUsage::kClient;
  std::vector<std::string> host_names;  // SAN: an address where it parses as one, else a DNS name
  std::string uri;                      // SAN URI; empty = none
  std::string second_uri;               // likewise: what it is bound to, or a role
  WallTime not_before, not_after;
};

struct KeyAndCertificate {
  std::string key_pem, certificate_pem;
};

struct Issuer {
  std::string certificate_pem, key_pem;
};

// A new ECDSA P-256 key and its certificate, signed by `issuer` (nullptr: by itself).
// Errors: kInvalidArgument (a host name that can not stand in a certificate), kInternal (OpenSSL).
Result<KeyAndCertificate> MakeCertificate(const CertificateRequest& request, const Issuer* issuer);

// The certificate (PEM) of somebody else's key, which is given as DER SubjectPublicKeyInfo. Errors:
// as MakeCertificate(), and kInvalidArgument for what is no key.
Result<std::string> IssueCertificate(const CertificateRequest& request,
                                     std::string_view public_key_der, const Issuer& issuer);

struct SigningKey {
  std::string private_pem, public_pem;
};
// A new Ed25519 key.
Result<SigningKey> MakeSigningKey();

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_CERTIFICATE_BUILDER_H_
