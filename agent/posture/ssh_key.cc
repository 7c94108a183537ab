// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/ssh_key.h"

#include <openssl/obj_mac.h>

#include "agent/posture/sshd_lexer.h"
#include "agent/posture/wire_text.h"
#include "common/openssl_ptr.h"
#include "common/sha256.h"

namespace culprit {
namespace {

using Kind = SshPublicKey::Kind;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kMaxBignum = 16384 / 8;
constexpr std::uint32_t kLeastRsaBits = 1024;

struct TypeRow {
  std::string_view name, short_name;
  Kind kind;
  std::string_view curve;
  bool certificate;
  std::string_view algorithms;
};
constexpr TypeRow kTypes[] = {
    {"ssh-ed25519", "ED25519", Kind::kEd25519, "", false, "ssh-ed25519"},
    {"ssh-ed25519-cert-v01@openssh.com", "", Kind::kEd25519, "", true,
     "ssh-ed25519-cert-v01@openssh.com"},
    {"sk-ssh-ed25519@openssh.com", "ED25519-SK", Kind::kEd25519Sk, "", false,
     "sk-ssh-ed25519@openssh.com"},
    {"sk-ssh-ed25519-cert-v01@openssh.com", "", Kind::kEd25519Sk, "", true,
     "sk-ssh-ed25519-cert-v01@openssh.com"},
    {"ecdsa-sha2-nistp256", "ECDSA", Kind::kEcdsa, "nistp256", false, "ecdsa-sha2-nistp256"},
    {"ecdsa-sha2-nistp384", "ECDSA", Kind::kEcdsa, "nistp384", false, "ecdsa-sha2-nistp384"},
    {"ecdsa-sha2-nistp521", "ECDSA", Kind::kEcdsa, "nistp521", false, "ecdsa-sha2-nistp521"},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "", Kind::kEcdsa, "nistp256", true,
     "ecdsa-sha2-nistp256-cert-v01@openssh.com"},
    {"ecdsa-sha2-nistp384-cert-v01@openssh.com", "", Kind::kEcdsa, "nistp384", true,
     "ecdsa-sha2-nistp384-cert-v01@openssh.com"},
    {"ecdsa-sha2-nistp521-cert-v01@openssh.com", "", Kind::kEcdsa, "nistp521", true,
     "ecdsa-sha2-nistp521-cert-v01@openssh.com"},
    {"sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK", Kind::kEcdsaSk, "nistp256", false,
     "sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com"},
    {"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "", Kind::kEcdsaSk, "nistp256", true,
     "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"},
    {"ssh-rsa", "RSA", Kind::kRsa, "", false, "ssh-rsa,rsa-sha2-256,rsa-sha2-512"},
    {"rsa-sha2-256", "RSA", Kind::kRsa, "", false, "ssh-rsa,rsa-sha2-256,rsa-sha2-512"},
    {"rsa-sha2-512", "RSA", Kind::kRsa, "", false, "ssh-rsa,rsa-sha2-256,rsa-sha2-512"},
    {"ssh-rsa-cert-v01@openssh.com", "", Kind::kRsa, "", true,
     "ssh-rsa-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,"
     "rsa-sha2-512-cert-v01@openssh.com"},
    {"ssh-dss", "DSA", Kind::kDsa, "", false, "ssh-dss"},
    {"ssh-dss-cert-v01@openssh.com", "", Kind::kDsa, "", true, "ssh-dss-cert-v01@openssh.com"},
};

const TypeRow* RowOf(std::string_view name) {
  for (const TypeRow& row : kTypes)
    if (row.name == name) return &row;
  return nullptr;
}

// Inside a blob sshd also knows plain types without a curve by their short names.
const TypeRow* RowInBlob(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    const bool short_too = !row.certificate && row.curve.empty();
    if (row.name == name || (short_too && EqualNoCase(row.short_name, name))) return &row;
  }
  return nullptr;
}

std::uint32_t BitsOf(std::string_view number) {
  std::uint32_t top = 0;
  for (auto byte = static_cast<unsigned char>(number[0]); byte != 0; byte = byte >> 1U) ++top;
  return static_cast<std::uint32_t>(number.size() - 1) * 8 + top;
}

// A positive number without leading zeros; nullopt: sshd refuses it.
std::optional<std::string_view> Bignum(WireText& text) {
  auto number = text.Next();
  if (!number || number->size() > kMaxBignum + 1) return std::nullopt;
  if (!number->empty() && (static_cast<unsigned char>((*number)[0]) & 0x80U) != 0)
    return std::nullopt;
  number->remove_prefix(std::min(number->find_first_not_of('\0'), number->size()));
  return number->size() > kMaxBignum ? std::nullopt : number;
}

Status Rsa(WireText& text, SshPublicKey* key) {
  const auto exponent = Bignum(text), modulus = Bignum(text);
  if (!exponent || !modulus || modulus->empty()) return InvalidArgument("the RSA numbers are bad");
  key->bits = BitsOf(*modulus);
  if (exponent->size() <= 8)
    for (const char c : *exponent)
      key->exponent = key->exponent << 8U | static_cast<unsigned char>(c);
  return Ok();
}

Status Dsa(WireText& text, SshPublicKey* key) {
  for (int i = 0; i < 4; ++i) {
    const auto number = Bignum(text);
    if (!number || number->empty()) return InvalidArgument("the DSA numbers are bad");
    if (i == 0) key->bits = BitsOf(*number);
  }
  return Ok();
}

bool OnCurve(int nid, std::string_view point) {
  const OpensslPtr<EC_GROUP> group(EC_GROUP_new_by_curve_name(nid));
  if (group == nullptr || point.empty() || point[0] != 4) return false;
  const OpensslPtr<EC_POINT> made(EC_POINT_new(group.get()));
  return made != nullptr && EC_POINT_oct2point(group.get(), made.get(),
                                               reinterpret_cast<const unsigned char*>(point.data()),
                                               point.size(), nullptr) == 1;
}

Status Ecdsa(WireText& text, const TypeRow& row, SshPublicKey* key) {
  const auto curve = text.Next(), point = text.Next();
  if (!curve || !point || *curve != row.curve)
    return InvalidArgument("the curve is not the type's");
  const int nid = row.curve == "nistp256"   ? NID_X9_62_prime256v1
                  : row.curve == "nistp384" ? NID_secp384r1
                                            : NID_secp521r1;
  key->bits = row.curve == "nistp256" ? 256 : row.curve == "nistp384" ? 384 : 521;
  if (!OnCurve(nid, *point)) return InvalidArgument("the point is not on its curve");
  return Ok();
}

Status Numbers(WireText& text, const TypeRow& row, SshPublicKey* key) {
  switch (row.kind) {
    case Kind::kRsa:
      return Rsa(text, key);
    case Kind::kDsa:
      return Dsa(text, key);
    case Kind::kEcdsa:
    case Kind::kEcdsaSk:
      return Ecdsa(text, row, key);
    default:
      key->bits = 256;
      const auto point = text.Next();
      if (!point || point->size() != 32) return InvalidArgument("the key has a wrong length");
      return Ok();
  }
}

}  // namespace

std::optional<SshKeyType> KeyTypeOf(std::string_view name) {
  const TypeRow* row = RowOf(name);
  if (row == nullptr) return std::nullopt;
  return SshKeyType{row->kind, row->certificate, row->curve};
}

std::string_view AlgorithmsOf(const SshPublicKey& key) {
  const TypeRow* row = RowOf(key.type);
  return row == nullptr ? std::string_view() : row->algorithms;
}

Result<SshPublicKey> ParseKeyBlob(std::string_view blob) {
  WireText text(blob);
  const auto name = text.Next();
  const TypeRow* row = name ? RowInBlob(*name) : nullptr;
  if (row == nullptr) return InvalidArgument("the key is of no known type");
  SshPublicKey key;
  key.kind = row->kind;
  key.certificate = row->certificate;
  const bool rsa = row->kind == Kind::kRsa && !row->certificate;
  key.type = rsa ? "ssh-rsa" : std::string(row->name);
  if (key.certificate) {  // lets nobody in from a file: its inside does not matter here
    key.blob = std::string(blob);
    key.fingerprint = FingerprintOf(blob);
    return key;
  }
  TRY_VOID(Numbers(text, *row, &key));
  const bool token = key.kind == Kind::kEcdsaSk || key.kind == Kind::kEd25519Sk;
  if (token && !text.Next()) return InvalidArgument("the application is missing");
  if (!text.empty()) return InvalidArgument("there is something behind the key");
  if (key.kind == Kind::kRsa && key.bits < kLeastRsaBits)
    return InvalidArgument("RSA of " + std::to_string(key.bits) +
                           " bits: sshd takes 1024 and more");
  key.blob = std::string(blob);
  key.fingerprint = FingerprintOf(blob);
  return key;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  std::size_t padding = 0, digits = 0;
  for (const char c : text) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const std::size_t value = kAlphabet.find(c);
    if (padding > 0 || value == std::string_view::npos) return std::nullopt;
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    held += 6;
    ++digits;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> static_cast<unsigned>(held));
    bits &= (1U << static_cast<unsigned>(held)) - 1U;
  }
  const std::size_t needed = digits % 4 == 0 ? 0 : 4 - digits % 4;
  if (needed == 3 || padding != needed || bits != 0) return std::nullopt;
  return bytes;
}

std::string FingerprintOf(std::string_view blob) {
  const Sha256Digest digest = Sha256Of(blob);
  std::string text = "SHA256:";
  for (std::size_t at = 0; at < digest.size(); at += 3) {
    std::uint32_t three = 0;
    for (std::size_t i = 0; i < 3; ++i)
      three = three << 8U | (at + i < digest.size() ? digest.at(at + i) : 0U);
    const std::size_t letters = at + 3 <= digest.size() ? 4 : digest.size() - at + 1;
    for (std::size_t i = 0; i < letters; ++i) text += kAlphabet[three >> (18U - 6U * i) & 63U];
  }
  return text;
}

}  // namespace culprit
