// SPDX-License-Identifier: Apache-2.0
// A certificate signing request (PKCS#10) from a stranger: that it is whole, and that whoever made
// it has the key. Stage: pki. Pure. Thread: any. Total on any bytes.
#ifndef CULPRIT_COLLECTOR_PKI_SIGNING_REQUEST_H_
#define CULPRIT_COLLECTOR_PKI_SIGNING_REQUEST_H_

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/sha256.h"

namespace culprit {

struct SigningRequest {
  std::string common_name;     // a claim
  std::string public_key_der;  // SubjectPublicKeyInfo
  Sha256Digest key_sha256{};   // of public_key_der
};

inline constexpr std::size_t kMaxSigningRequestBytes = 4096;

// `der`: nothing may follow the request. Keys: ECDSA P-256 and Ed25519. Extensions that it asks for
// are not read: what stands in a certificate is for the issuer to say. Errors: kInvalidArgument.
Result<SigningRequest> ReadSigningRequest(std::string_view der);

// SHA-256 of the SubjectPublicKeyInfo of a PEM certificate. Errors: kInvalidArgument.
Result<Sha256Digest> KeySha256(std::string_view certificate_pem);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_PKI_SIGNING_REQUEST_H_
