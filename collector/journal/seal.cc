// SPDX-License-Identifier: Apache-2.0
#include "collector/journal/seal.h"

#include <google/protobuf/util/json_util.h>
#include <openssl/pem.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "common/file.h"
#include "common/hex.h"
#include "common/openssl_ptr.h"
#include "culprit/internal/v1/store.pb.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxKeyBytes = 64U << 10;

std::string Hex(const Sha256Digest& digest) { return HexEncode(AsBytes(digest)); }

Result<Sha256Digest> DigestFromHex(std::string_view hex) {
  TRY(const std::string bytes, HexDecode(hex));
  Sha256Digest digest{};
  if (bytes.size() != digest.size()) return DataLoss("hash is not 32 bytes");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

Result<OpensslPtr<EVP_PKEY>> LoadKey(const std::string& path, bool is_private) {
  TRY(const std::string pem, ReadWholeFile(path, kMaxKeyBytes));
  OpensslPtr<EVP_PKEY> key = is_private ? PrivateKeyOfPem(pem)
                                        : OpensslPtr<EVP_PKEY>(PEM_read_bio_PUBKEY(
                                              MemoryBio(pem).get(), nullptr, nullptr, nullptr));
  if (!key || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519) {
    return InvalidArgument(path + ": not an Ed25519 " + (is_private ? "private" : "public") +
                           " key in PEM; `culprit-collector init` makes one");
  }
  return key;
}

Result<HeadEntry> ParseHead(const internal::v1::SealHead& wire) {
  HeadEntry entry;
  TRY(entry.head.stream_id, Uuid::Parse(wire.stream_id()));
  TRY(entry.head.agent_id, Uuid::Parse(wire.agent_id()));
  if (wire.lane() >= kLaneCount) return DataLoss("unknown lane");
  entry.head.lane = static_cast<Lane>(wire.lane());
  entry.head.seq = wire.seq();
  TRY(entry.head.hash, DigestFromHex(wire.hash()));
  entry.lsn = wire.lsn();
  return entry;
}

}  // namespace

std::string SealText(const JournalSeal& seal) {
  std::string text = fmt::format(
      "format {}\njournal {}\nfirst_lsn {}\nlast_lsn {}\nentries {}\nbytes {}\nsha256 {}\n"
      "last_hash {}\nfirst_prev_hash {}\nlast_received {}\n",
      seal.format, seal.journal_id.ToString(), seal.first_lsn, seal.last_lsn, seal.entries,
      seal.bytes, Hex(seal.sha256), Hex(seal.last_hash), Hex(seal.first_prev_hash),
      ToNs(seal.last_received));
  for (const HeadEntry& entry : seal.heads) {
    text += fmt::format("head {} {} {} {} {} {}\n", entry.head.stream_id.ToString(),
                        static_cast<int>(entry.head.lane), entry.head.agent_id.ToString(),
                        entry.head.seq, Hex(entry.head.hash), entry.lsn);
  }
  return text;
}

std::string FormatSeal(const JournalSeal& seal) {
  internal::v1::Seal wire;
  wire.set_format(seal.format);
  wire.set_journal_id(seal.journal_id.ToString());
  wire.set_first_lsn(seal.first_lsn);
  wire.set_last_lsn(seal.last_lsn);
  wire.set_entries(seal.entries);
  wire.set_bytes(seal.bytes);
  wire.set_sha256(Hex(seal.sha256));
  wire.set_last_hash(Hex(seal.last_hash));
  wire.set_first_prev_hash(Hex(seal.first_prev_hash));
  wire.set_last_received_wall_ns(ToNs(seal.last_received));
  for (const HeadEntry& entry : seal.heads) {
    internal::v1::SealHead* head = wire.add_heads();
    head->set_stream_id(entry.head.stream_id.ToString());
    head->set_agent_id(entry.head.agent_id.ToString());
    head->set_lane(static_cast<std::uint32_t>(entry.head.lane));
    head->set_seq(entry.head.seq);
    head->set_hash(Hex(entry.head.hash));
    head->set_lsn(entry.lsn);
  }
  wire.set_signature(HexEncode(seal.signature));
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  // Cannot fail: the message holds only numbers and our own ASCII text.
  static_cast<void>(google::protobuf::util::MessageToJsonString(wire, &json, options));
  return json;
}

Result<JournalSeal> ParseSeal(std::string_view json) {
  internal::v1::Seal wire;
  if (!google::protobuf::util::JsonStringToMessage(std::string(json), &wire).ok()) {
    return DataLoss("not a seal");
  }
  JournalSeal seal;
  seal.format = wire.format();
  if (seal.format != kSealFormat && seal.format != kHeadsFormat) return DataLoss("unknown seal");
  TRY(seal.journal_id, Uuid::Parse(wire.journal_id()));
  seal.first_lsn = wire.first_lsn();
  seal.last_lsn = wire.last_lsn();
  seal.entries = wire.entries();
  seal.bytes = wire.bytes();
  TRY(seal.sha256, DigestFromHex(wire.sha256()));
  TRY(seal.last_hash, DigestFromHex(wire.last_hash()));
  TRY(seal.first_prev_hash, DigestFromHex(wire.first_prev_hash()));
  seal.last_received = WallTimeFromNs(wire.last_received_wall_ns());
  for (const auto& wire_head : wire.heads()) {
    TRY(HeadEntry entry, ParseHead(wire_head));
    seal.heads.push_back(entry);
  }
  TRY(seal.signature, HexDecode(wire.signature()));
  return seal;
}

struct SealSigner::Key {
  OpensslPtr<EVP_PKEY> key;
};
SealSigner::SealSigner(std::unique_ptr<Key> key) : key_(std::move(key)) {}
SealSigner::SealSigner(SealSigner&&) noexcept = default;
SealSigner& SealSigner::operator=(SealSigner&&) noexcept = default;
SealSigner::~SealSigner() = default;

Result<SealSigner> SealSigner::FromFile(const std::string& private_key_path) {
  TRY(OpensslPtr<EVP_PKEY> key, LoadKey(private_key_path, true));
  return SealSigner(std::make_unique<Key>(Key{std::move(key)}));
}

Status SealSigner::Sign(JournalSeal* seal) const {
  const std::string text = SealText(*seal);
  const OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  std::string signature(64, '\0');
  std::size_t length = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1) {
    return Internal("sign seal: OpenSSL failed");
  }
  signature.resize(length);
  seal->signature = std::move(signature);
  return Ok();
}

struct SealVerifier::Key {
  OpensslPtr<EVP_PKEY> key;
};
SealVerifier::SealVerifier(std::unique_ptr<Key> key) : key_(std::move(key)) {}
SealVerifier::SealVerifier(SealVerifier&&) noexcept = default;
SealVerifier& SealVerifier::operator=(SealVerifier&&) noexcept = default;
SealVerifier::~SealVerifier() = default;

Result<SealVerifier> SealVerifier::FromFile(const std::string& public_key_path) {
  TRY(OpensslPtr<EVP_PKEY> key, LoadKey(public_key_path, false));
  return SealVerifier(std::make_unique<Key>(Key{std::move(key)}));
}

bool SealVerifier::Verify(const JournalSeal& seal) const {
  const std::string text = SealText(seal);
  const OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_->key.get()) == 1 &&
         EVP_DigestVerify(context.get(),
                          reinterpret_cast<const unsigned char*>(seal.signature.data()),
                          seal.signature.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
}

}  // namespace culprit
