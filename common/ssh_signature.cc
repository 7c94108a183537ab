// SPDX-License-Identifier: Apache-2.0
#include "common/ssh_signature.h"

#include <openssl/pem.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "common/file.h"
#include "common/openssl_ptr.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::string_view kKeyType = "ssh-ed25519";
constexpr std::string_view kMagic = "SSHSIG";
constexpr std::string_view kBegin = "-----BEGIN SSH SIGNATURE-----\n";
constexpr std::string_view kEnd = "-----END SSH SIGNATURE-----";
constexpr std::size_t kMaxText = 16U << 10;
constexpr std::size_t kLineLength = 70;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

template <std::size_t N>
std::string_view View(const std::array<std::uint8_t, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

// RFC 4251: a length of four bytes, most significant first, and the bytes.
void PutString(std::string* out, std::string_view bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out->push_back(static_cast<char>(size >> shift));
  out->append(bytes);
}

std::optional<std::string_view> TakeString(std::string_view* in) {
  if (in->size() < 4) return std::nullopt;
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = (size << 8U) | static_cast<std::uint8_t>((*in)[i]);
  if (size > in->size() - 4) return std::nullopt;
  const std::string_view value = in->substr(4, size);
  in->remove_prefix(4 + size);
  return value;
}

std::string Base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), Bytes(bytes),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(std::max(length, 0)));
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > kMaxText) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), Bytes(text),
                                     static_cast<int>(text.size()));
  const std::size_t padding = static_cast<std::size_t>(text.ends_with("==")  ? 2
                                                       : text.ends_with('=') ? 1
                                                                             : 0);
  if (length < 0 || static_cast<std::size_t>(length) < padding) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  return bytes;
}

std::string KeyBlob(const Ed25519PublicKey& key) {
  std::string blob;
  PutString(&blob, kKeyType);
  PutString(&blob, View(key));
  return blob;
}

template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> TypedBytes(std::string_view blob) {
  const auto type = TakeString(&blob);
  if (!type || *type != kKeyType) return std::nullopt;
  const auto value = TakeString(&blob);
  if (!value || value->size() != N || !blob.empty()) return std::nullopt;
  std::array<std::uint8_t, N> bytes{};
  std::copy(value->begin(), value->end(), bytes.begin());
  return bytes;
}

// What is signed in place of the message; empty for a hash that the form does not have.
std::string Preimage(std::string_view name_space, std::string_view hash_name,
                     std::string_view message) {
  const EVP_MD* hash = hash_name == "sha512"   ? EVP_sha512()
                       : hash_name == "sha256" ? EVP_sha256()
                                               : nullptr;
  if (hash == nullptr) return "";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(message.data(), message.size(), digest.data(), &length, hash, nullptr) != 1)
    return "";
  std::string text(kMagic);
  PutString(&text, name_space);
  PutString(&text, "");
  PutString(&text, hash_name);
  PutString(&text, {reinterpret_cast<const char*>(digest.data()), length});
  return text;
}

Result<Ed25519PublicKey> PublicOf(EVP_PKEY* key) {
  Ed25519PublicKey raw{};
  std::size_t size = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, raw.data(), &size) != 1 || size != raw.size())
    return Internal("OpenSSL gives no public key");
  return raw;
}

Result<OpensslPtr<EVP_PKEY>> NewKey() {
  EVP_PKEY* raw = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (raw == nullptr) return Internal("OpenSSL makes no Ed25519 key");
  return OpensslPtr<EVP_PKEY>(raw);
}

Result<OpensslPtr<EVP_PKEY>> ReadKey(const std::string& path) {
  TRY(const std::string pem, ReadWholeFile(path, kMaxText));
  OpensslPtr<EVP_PKEY> key = PrivateKeyOfPem(pem);
  if (!key || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519)
    return InvalidArgument(path +
                           ": not an Ed25519 private key in PEM; remove it and a new one is made");
  return key;
}

Status WriteKey(EVP_PKEY* key, const std::string& path) {
  const OpensslPtr<BIO> bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return Internal("OpenSSL does not write the key");
  return WriteFileAtomically(path, ContentOf(bio.get()), 0600);
}

}  // namespace

std::string SshPublicKeyText(const Ed25519PublicKey& key) {
  return std::string(kKeyType) + " " + Base64(KeyBlob(key));
}

std::string SshFingerprint(const Ed25519PublicKey& key) {
  std::string text = Base64(AsBytes(Sha256Of(KeyBlob(key))));
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

Result<Ed25519PublicKey> ParseSshPublicKey(std::string_view text) {
  const std::string prefix = std::string(kKeyType) + " ";
  for (std::size_t at = text.find(prefix); at != std::string_view::npos;
       at = text.find(prefix, at + 1)) {
    std::string_view rest = text.substr(at + prefix.size());
    rest = rest.substr(0, rest.find_first_of(" \t\r\n"));
    const auto blob = FromBase64(rest);
    const auto key = blob ? TypedBytes<32>(*blob) : std::nullopt;
    if (key) return *key;
  }
  return InvalidArgument("no ssh-ed25519 public key in it");
}

struct Ed25519Key::Key {
  OpensslPtr<EVP_PKEY> key;
};
Ed25519Key::Ed25519Key(std::unique_ptr<Key> key, const Ed25519PublicKey& public_key)
    : key_(std::move(key)), public_key_(public_key) {}
Ed25519Key::Ed25519Key(Ed25519Key&&) noexcept = default;
Ed25519Key& Ed25519Key::operator=(Ed25519Key&&) noexcept = default;
Ed25519Key::~Ed25519Key() = default;

Result<Ed25519Key> Ed25519Key::Make() {
  TRY(OpensslPtr<EVP_PKEY> key, NewKey());
  TRY(const Ed25519PublicKey public_key, PublicOf(key.get()));
  return Ed25519Key(std::make_unique<Key>(Key{std::move(key)}), public_key);
}

Result<Ed25519Key> Ed25519Key::LoadOrMake(const std::string& path) {
  auto key = ReadKey(path);
  if (!key && key.error().code == Code::kNotFound) {
    TRY(Ed25519Key made, Make());
    TRY_VOID(WriteKey(made.key_->key.get(), path));
    return made;
  }
  if (!key) return std::move(key).error();
  TRY(const Ed25519PublicKey public_key, PublicOf(key->get()));
  return Ed25519Key(std::make_unique<Key>(Key{std::move(*key)}), public_key);
}

Result<std::string> Ed25519Key::Sign(std::string_view name_space, std::string_view message) const {
  constexpr std::string_view kHash = "sha512";
  const std::string preimage = Preimage(name_space, kHash, message);
  const OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  std::string raw(64, '\0');
  std::size_t length = raw.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(raw.data()), &length,
                     Bytes(preimage), preimage.size()) != 1) {
    return Internal("sign: OpenSSL failed");
  }
  std::string signature, blob(kMagic);
  PutString(&signature, kKeyType);
  PutString(&signature, raw);
  blob.append({0, 0, 0, 1});
  PutString(&blob, KeyBlob(public_key_));
  PutString(&blob, name_space);
  PutString(&blob, "");
  PutString(&blob, kHash);
  PutString(&blob, signature);
  const std::string encoded = Base64(blob);
  std::string text(kBegin);
  for (std::size_t at = 0; at < encoded.size(); at += kLineLength)
    text += encoded.substr(at, kLineLength) + "\n";
  return text + std::string(kEnd) + "\n";
}

Result<SshSignature> ParseSshSignature(std::string_view armoured) {
  const Error bad = DataLoss("not an Ed25519 signature of ssh-keygen -Y");
  if (armoured.size() > kMaxText || !armoured.starts_with(kBegin)) return bad;
  const std::size_t end = armoured.find(kEnd);
  if (end == std::string_view::npos) return bad;
  std::string encoded(armoured.substr(kBegin.size(), end - kBegin.size()));
  encoded.erase(std::remove(encoded.begin(), encoded.end(), '\n'), encoded.end());
  const auto blob = FromBase64(encoded);
  const std::string start = std::string(kMagic) + std::string({0, 0, 0, 1});
  if (!blob || !blob->starts_with(start)) return bad;
  std::string_view rest = std::string_view(*blob).substr(start.size());
  std::array<std::string_view, 5> fields;
  for (std::string_view& field : fields) {
    const auto value = TakeString(&rest);
    if (!value) return bad;
    field = *value;
  }
  const auto key = TypedBytes<32>(fields[0]);
  const auto raw = TypedBytes<64>(fields[4]);
  if (!rest.empty() || !fields[2].empty() || !key || !raw) return bad;
  return SshSignature{*key, std::string(fields[1]), std::string(fields[3]), *raw};
}

bool SignatureFits(const SshSignature& signature, std::string_view message) {
  const std::string preimage = Preimage(signature.name_space, signature.hash_name, message);
  const OpensslPtr<EVP_PKEY> key(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, signature.key.data(), signature.key.size()));
  const OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return !preimage.empty() && key &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.signature.data(), signature.signature.size(),
                          Bytes(preimage), preimage.size()) == 1;
}

}  // namespace culprit
