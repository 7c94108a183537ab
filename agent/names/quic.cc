// SPDX-License-Identifier: Apache-2.0
#include "agent/names/quic.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <optional>
#include <string>

#include "agent/names/tls.h"
#include "common/byte_reader.h"
#include "common/bytes.h"
#include "common/openssl_ptr.h"

namespace culprit {
namespace {

constexpr std::uint8_t kLong = 0x80, kFixed = 0x40;
constexpr std::size_t kTag = 16, kSample = 16, kMaxPacketNumber = 4;
constexpr std::size_t kMaxConnectionId = 20;
constexpr std::size_t kMaxCoalesced = 4;  // packets that are looked at in one datagram
constexpr std::uint32_t kVersion2 = 0x6b3343cf;

struct QuicVersion {
  std::uint32_t first, last;
  std::array<std::uint8_t, 20> salt;
};
constexpr QuicVersion kVersions[] = {
    {1, 1, {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
            0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
    {kVersion2, kVersion2, {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                            0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}},
    {0xff000021, 0xff000022, {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                              0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
    {0xff00001d, 0xff000020, {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
                              0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99}},
    {0xff000017, 0xff00001c, {0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
                              0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02}},
};

const QuicVersion* FindVersion(std::uint32_t version) {
  for (const QuicVersion& known : kVersions) {
    if (version >= known.first && version <= known.last) return &known;
  }
  return nullptr;
}

const unsigned char* Raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

using Secret = std::array<std::uint8_t, 32>;

Secret Hmac(std::string_view key, std::string_view data) {
  Secret out{};
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Raw(data), data.size(), out.data(),
       nullptr);
  return out;
}

std::string_view View(const Secret& secret) {
  return {reinterpret_cast<const char*>(secret.data()), secret.size()};
}

// HKDF-Expand-Label (RFC 8446 7.1) of at most one block of SHA-256.
template <std::size_t N>
std::array<std::uint8_t, N> ExpandLabel(const Secret& secret, std::string_view label) {
  const std::string full = "tls13 " + std::string(label);
  std::string info{'\0', static_cast<char>(N), static_cast<char>(full.size())};
  info += full;
  info += '\0';    // no context
  info += '\x01';  // the first block
  const Secret block = Hmac(View(secret), info);
  std::array<std::uint8_t, N> out;
  std::copy_n(block.begin(), N, out.begin());
  return out;
}

std::optional<std::array<std::uint8_t, 16>> HeaderMask(const QuicKeys& keys,
                                                       std::string_view sample) {
  const OpensslPtr<EVP_CIPHER_CTX> cipher(EVP_CIPHER_CTX_new());
  std::array<std::uint8_t, 16> mask{};
  int size = 0;
  const bool done = EVP_EncryptInit_ex(cipher.get(), EVP_aes_128_ecb(), nullptr, keys.header.data(),
                                       nullptr) == 1 &&
                    EVP_CIPHER_CTX_set_padding(cipher.get(), 0) == 1 &&
                    EVP_EncryptUpdate(cipher.get(), mask.data(), &size, Raw(sample),
                                      static_cast<int>(sample.size())) == 1;
  if (!done) return std::nullopt;
  return mask;
}

// AES-128-GCM; nothing if the tag does not agree.
std::optional<std::string> Open(const QuicKeys& keys, std::uint64_t number, std::string_view header,
                                std::string_view sealed) {
  std::array<std::uint8_t, 12> nonce = keys.iv;
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[11 - i] = static_cast<std::uint8_t>(nonce[11 - i] ^ (number >> (8 * i) & 0xff));
  }
  const std::string_view text = sealed.substr(0, sealed.size() - kTag);
  std::string tag(sealed.substr(text.size()));
  std::string plain(text.size(), '\0');
  const OpensslPtr<EVP_CIPHER_CTX> cipher(EVP_CIPHER_CTX_new());
  EVP_CIPHER_CTX* c = cipher.get();
  int size = 0;
  auto* out = reinterpret_cast<unsigned char*>(plain.data());
  const bool done =
      EVP_DecryptInit_ex(c, EVP_aes_128_gcm(), nullptr, keys.key.data(), nonce.data()) == 1 &&
      EVP_DecryptUpdate(c, nullptr, &size, Raw(header), static_cast<int>(header.size())) == 1 &&
      EVP_DecryptUpdate(c, out, &size, Raw(text), static_cast<int>(text.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(c, out + size, &size) == 1;
  if (!done) return std::nullopt;
  return plain;
}

std::uint64_t VarInt(ByteReader& reader) {
  const std::uint8_t first = reader.U8();
  std::uint64_t value = first & 0x3f;
  for (int i = (1 << (first >> 6)) - 1; i > 0; --i) value = value << 8 | reader.U8();
  return value;
}

struct LongPacket {
  bool initial = false;
  std::uint32_t version = 0;
  std::string_view connection;
  std::string_view header;  // up to the packet number
  std::string_view body;    // packet number and what is sealed
  std::size_t size = 0;     // in the datagram
};

bool IsInitial(std::uint8_t first, std::uint32_t version) {
  return (first >> 4 & 3) == (version == kVersion2 ? 1 : 0);
}
bool IsRetry(std::uint8_t first, std::uint32_t version) {
  return (first >> 4 & 3) == (version == kVersion2 ? 0 : 3);
}

std::optional<LongPacket> ReadLongPacket(std::string_view datagram) {
  ByteReader reader(datagram);
  LongPacket packet;
  const std::uint8_t first = reader.U8();
  packet.version = reader.U32();
  if (!reader.ok() || (first & kLong) == 0 || !KnownQuicVersion(packet.version) ||
      IsRetry(first, packet.version)) {
    return std::nullopt;
  }
  packet.initial = IsInitial(first, packet.version);
  packet.connection = reader.Take(reader.U8());
  const std::string_view source = reader.Take(reader.U8());
  if (packet.connection.size() > kMaxConnectionId || source.size() > kMaxConnectionId) {
    return std::nullopt;
  }
  if (packet.initial) reader.Take(VarInt(reader));  // token
  const std::uint64_t length = VarInt(reader);
  packet.header = datagram.substr(0, reader.position());
  packet.body = reader.Take(length);
  packet.size = reader.position();
  if (!reader.ok()) return std::nullopt;
  return packet;
}

// Takes off the protection of header and payload (RFC 9001 5.4, 5.3).
std::optional<std::string> Unprotect(const LongPacket& packet, const QuicKeys& keys) {
  if (packet.body.size() < kMaxPacketNumber + kSample) return std::nullopt;
  const auto mask = HeaderMask(keys, packet.body.substr(kMaxPacketNumber, kSample));
  if (!mask) return std::nullopt;
  std::string header(packet.header);
  header[0] = static_cast<char>(header[0] ^ ((*mask)[0] & 0x0f));
  const std::size_t number_size = (static_cast<std::size_t>(header[0]) & 3) + 1;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < number_size; ++i) {
    header += static_cast<char>(packet.body[i] ^ (*mask)[i + 1]);
    number = number << 8 | static_cast<std::uint8_t>(header.back());
  }
  const std::string_view sealed = packet.body.substr(number_size);
  if (sealed.size() < kTag) return std::nullopt;
  return Open(keys, number, header, sealed);
}

void SkipAck(ByteReader& reader, bool counts) {
  VarInt(reader);  // largest
  VarInt(reader);  // delay
  const std::uint64_t ranges = VarInt(reader);
  VarInt(reader);  // first range
  for (std::uint64_t i = 0; i < ranges && reader.ok(); ++i) {
    VarInt(reader);
    VarInt(reader);
  }
  for (int i = 0; i < 3 && counts; ++i) VarInt(reader);
}

}  // namespace

bool KnownQuicVersion(std::uint32_t version) { return FindVersion(version) != nullptr; }

QuicKeys QuicClientKeys(std::uint32_t version, std::string_view connection) {
  const QuicVersion* known = FindVersion(version);
  if (known == nullptr) return {};
  const std::string_view salt(reinterpret_cast<const char*>(known->salt.data()),
                              known->salt.size());
  const Secret initial = Hmac(salt, connection);
  const Secret client = ExpandLabel<32>(initial, "client in");
  const std::string prefix = version == kVersion2 ? "quicv2 " : "quic ";
  return {ExpandLabel<16>(client, prefix + "key"), ExpandLabel<12>(client, prefix + "iv"),
          ExpandLabel<16>(client, prefix + "hp")};
}

bool LooksLikeQuicInitial(std::string_view datagram) {
  if (datagram.size() < 7) return false;
  const auto first = static_cast<std::uint8_t>(datagram[0]);
  const auto version = LoadBe<std::uint32_t>(datagram.data() + 1);
  return (first & (kLong | kFixed)) == (kLong | kFixed) && KnownQuicVersion(version) &&
         IsInitial(first, version);
}

// False at a frame that no client's Initial has.
bool QuicInitials::ReadFrames(std::string_view frames) {
  ByteReader reader(frames);
  while (reader.ok() && !reader.rest().empty()) {
    const std::uint64_t type = VarInt(reader);
    switch (type) {
      case 0x00:  // padding
      case 0x01:  // ping
        break;
      case 0x02:
      case 0x03:
        SkipAck(reader, type == 0x03);
        break;
      case 0x06: {
        const std::uint64_t offset = VarInt(reader);
        const std::string_view data = reader.Take(VarInt(reader));
        if (reader.ok()) crypto_.Add(offset, data);
        break;
      }
      default:
        return false;
    }
  }
  return reader.ok();
}

Verdict QuicInitials::Add(std::string_view datagram, ServerName& out) {
  bool read = false;
  for (std::size_t i = 0; i < kMaxCoalesced && !datagram.empty(); ++i) {
    const auto packet = ReadLongPacket(datagram);
    if (!packet) break;
    datagram.remove_prefix(packet->size);
    if (!packet->initial) continue;
    std::optional<std::string> plain;
    if (has_keys_) plain = Unprotect(*packet, keys_);
    if (!plain) {  // the first, or the first behind a Retry
      const QuicKeys keys = QuicClientKeys(packet->version, packet->connection);
      plain = Unprotect(*packet, keys);
      if (plain) keys_ = keys;
    }
    if (!plain) continue;
    has_keys_ = read = true;
    static_cast<void>(ReadFrames(*plain));
  }
  if (!read) return Verdict::kOther;
  const Verdict verdict = ParseClientHello(crypto_.in_order(), out);
  out.source = NameSource::kQuicSni;
  return verdict == Verdict::kMore && crypto_.full() ? Verdict::kOther : verdict;
}

}  // namespace culprit
