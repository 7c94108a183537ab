// SPDX-License-Identifier: Apache-2.0
// Streaming SHA-256 (FIPS 180-4) over OpenSSL. Stage: common. Thread: one caller an object.
#ifndef CULPRIT_COMMON_SHA256_H_
#define CULPRIT_COMMON_SHA256_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

namespace culprit {

using Sha256Digest = std::array<std::uint8_t, 32>;

inline std::string_view AsBytes(const Sha256Digest& d) {
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view bytes);
  // Ends the hash; the object may then be used for a new one.
  Sha256Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Sha256Digest Sha256Of(std::string_view bytes);

}  // namespace culprit

#endif  // CULPRIT_COMMON_SHA256_H_
