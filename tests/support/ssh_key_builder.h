// SPDX-License-Identifier: Apache-2.0
// Public keys of SSH made of whatever bytes a test likes: nobody has their private halves.
#ifndef CULPRIT_TESTS_SUPPORT_SSH_KEY_BUILDER_H_
#define CULPRIT_TESTS_SUPPORT_SSH_KEY_BUILDER_H_

#include <string>
#include <string_view>

namespace culprit::testing {

inline std::string Base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t three = 0;
    for (std::size_t i = 0; i < 3; ++i)
      three =
          three << 8U | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      text += at + i > bytes.size() ? '=' : kAlphabet[three >> (18U - 6U * i) & 63U];
  }
  return text;
}

inline std::string WireString(std::string_view bytes) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8)
    text += static_cast<char>(bytes.size() >> static_cast<unsigned>(shift) & 255U);
  return text + std::string(bytes);
}

inline std::string Ed25519Blob(char fill) {
  return WireString("ssh-ed25519") + WireString(std::string(32, fill));
}
inline std::string Ed25519Line(char fill) { return "ssh-ed25519 " + Base64(Ed25519Blob(fill)); }

// A modulus of that many bits, which are a multiple of 8.
inline std::string RsaLine(std::size_t bits, char exponent) {
  return "ssh-rsa " + Base64(WireString("ssh-rsa") + WireString(std::string(1, exponent)) +
                             WireString(std::string(1, '\0') + std::string(bits / 8, '\xaa')));
}

// A private key file without the private part.
inline std::string PrivateFile(const std::string& cipher, const std::string& blob) {
  const std::string body = std::string("openssh-key-v1\0", 15) + WireString(cipher) +
                           WireString("none") + WireString("") + std::string("\0\0\0\1", 4) +
                           WireString(blob);
  return "-----BEGIN OPENSSH PRIVATE KEY-----\n" + Base64(body) +
         "\n-----END OPENSSH PRIVATE KEY-----\n";
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_SUPPORT_SSH_KEY_BUILDER_H_
