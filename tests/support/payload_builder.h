// SPDX-License-Identifier: Apache-2.0
// Bytes of payloads for tests: DNS messages, ClientHellos, QUIC Initials. Stage: tests. Pure.
#ifndef CULPRIT_TESTS_SUPPORT_PAYLOAD_BUILDER_H_
#define CULPRIT_TESTS_SUPPORT_PAYLOAD_BUILDER_H_

#include <openssl/evp.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "agent/names/quic.h"
#include "common/ascii.h"
#include "tests/support/packet_builder.h"

namespace culprit::testing {

// "a.example" -> its labels and the root.
inline std::string DnsName(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    out += Counted8(NextUntil(&name, '.'));
  }
  return out + U8(0);
}
inline std::string DnsHeader(unsigned flags, unsigned questions, unsigned answers) {
  return Be16(0x1234) + Be16(flags) + Be16(questions) + Be16(answers) + Be32(0);
}
inline std::string DnsRecord(std::string_view encoded_name, unsigned type, std::string_view data,
                             unsigned record_class = 1) {
  return std::string(encoded_name) + Be16(type) + Be16(record_class) + Be32(300) + Counted16(data);
}
inline std::string DnsQuery(std::string_view name, unsigned type = 1) {
  return DnsHeader(0x0100, 1, 0) + DnsName(name) + Be16(type) + Be16(1);
}

inline std::string TlsExtension(unsigned type, std::string_view body) {
  return Be16(type) + Counted16(body);
}
inline std::string ServerNameExtension(std::string_view name) {
  return TlsExtension(0, Counted16(U8(0) + Counted16(name)));
}
// A handshake message. An empty name: without that extension. `padding` makes it longer than a
// segment.
inline std::string ClientHello(std::string_view name, const std::vector<std::string>& alpn = {},
                               std::size_t padding = 0) {
  std::string extensions = padding > 0 ? TlsExtension(21, Zeros(padding)) : "";
  if (!name.empty()) extensions += ServerNameExtension(name);
  std::string protocols;
  for (const std::string& protocol : alpn) protocols += Counted8(protocol);
  if (!alpn.empty()) extensions += TlsExtension(16, Counted16(protocols));
  const std::string body = Be16(0x0303) + Zeros(32) + Counted8("session") + Counted16("\x13\x01") +
                           Counted8(Zeros(1)) + Counted16(extensions);
  return U8(1) + Be24(static_cast<unsigned>(body.size())) + body;
}
inline std::string TlsRecord(std::string_view handshake, unsigned version = 0x0301) {
  return U8(22) + Be16(version) + Counted16(handshake);
}

inline std::string QuicVarInt(std::uint64_t value) {
  if (value < 64) return U8(static_cast<unsigned>(value));
  return Be16(static_cast<unsigned>(value) | 0x4000);
}
inline std::string CryptoFrame(std::uint64_t offset, std::string_view data) {
  return U8(6) + QuicVarInt(offset) + QuicVarInt(data.size()) + std::string(data);
}

// A protected Initial packet of a client with a packet number of four bytes. Its frames are padded
// to `payload_size`.
struct InitialFields {
  std::uint32_t version = 1;
  std::string_view keys_from = "\x83\x94\xc8\xf0\x3e\x51\x57\x08";  // the first destination id
  std::string_view connection = "\x83\x94\xc8\xf0\x3e\x51\x57\x08";
  std::string_view token = "";
  std::uint32_t number = 2;
  std::size_t payload_size = 1'162;
};
inline std::string QuicInitial(std::string frames, const InitialFields& fields = {}) {
  frames.resize(std::max(frames.size(), fields.payload_size));
  const bool v2 = fields.version == 0x6b3343cf;
  std::string header = U8(v2 ? 0xd3 : 0xc3) + Be32(fields.version) + Counted8(fields.connection) +
                       U8(0) + QuicVarInt(fields.token.size()) + std::string(fields.token) +
                       QuicVarInt(4 + frames.size() + 16) + Be32(fields.number);
  const QuicKeys keys = QuicClientKeys(fields.version, fields.keys_from);
  auto nonce = keys.iv;
  const std::string number = Be32(fields.number);
  for (std::size_t i = 0; i < 4; ++i) {
    nonce[8 + i] = static_cast<std::uint8_t>(nonce[8 + i] ^ static_cast<unsigned char>(number[i]));
  }
  const auto raw = [](auto& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); };
  std::string sealed(frames.size() + 16, '\0');
  int size = 0;
  EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), nullptr, keys.key.data(), nonce.data());
  EVP_EncryptUpdate(cipher, nullptr, &size, raw(header), static_cast<int>(header.size()));
  EVP_EncryptUpdate(cipher, raw(sealed), &size, raw(frames), static_cast<int>(frames.size()));
  EVP_EncryptFinal_ex(cipher, raw(sealed) + size, &size);
  EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, raw(sealed) + frames.size());
  std::string mask(32, '\0');
  EVP_EncryptInit_ex(cipher, EVP_aes_128_ecb(), nullptr, keys.header.data(), nullptr);
  EVP_EncryptUpdate(cipher, raw(mask), &size, raw(sealed), 16);
  EVP_CIPHER_CTX_free(cipher);
  header[0] = static_cast<char>(header[0] ^ (mask[0] & 0x0f));
  for (std::size_t i = 0; i < 4; ++i) {
    char& byte = header[header.size() - 4 + i];
    byte = static_cast<char>(byte ^ mask[1 + i]);
  }
  return header + sealed;
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_SUPPORT_PAYLOAD_BUILDER_H_
