// SPDX-License-Identifier: Apache-2.0
// The agent's key, which is made on the host and never leaves it, and requests for certificates of
// it. Stage: enrol (outside the chain of stages). Pure apart from the random numbers. Thread: any.
// No message holds key material.
#ifndef CULPRIT_AGENT_ENROL_AGENT_KEY_H_
#define CULPRIT_AGENT_ENROL_AGENT_KEY_H_

#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

// A new ECDSA P-256 key, PEM (PKCS#8). Errors: kInternal (OpenSSL).
Result<std::string> MakeAgentKey();
// A request (PKCS#10, DER) for a certificate of this key, signed by it. Errors: kInvalidArgument
// (no PEM private key), kInternal.
Result<std::string> MakeSigningRequest(std::string_view key_pem, const std::string& common_name);

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENROL_AGENT_KEY_H_
