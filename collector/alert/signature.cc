// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "common/hex.h"

namespace culprit {

std::string SignBody(std::string_view secret, std::int64_t unix_seconds, std::string_view body) {
  std::string signed_text = std::to_string(unix_seconds);
  signed_text.append(".").append(body);
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int length = 0;
  // Fails only where SHA-256 is missing; an empty signature is then refused by every receiver.
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(),
           mac.data(), &length) == nullptr) {
    length = 0;
  }
  return "v1=" + HexEncode({reinterpret_cast<const char*>(mac.data()), length});
}

}  // namespace culprit
