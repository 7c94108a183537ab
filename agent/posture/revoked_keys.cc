// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/revoked_keys.h"

#include <openssl/evp.h>

#include <array>

#include "agent/posture/authorized_keys.h"
#include "agent/posture/wire_text.h"
#include "common/sha256.h"

namespace culprit {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kMagic = "SSHKRL\n\0"sv;
constexpr std::size_t kMaxLines = 100'000;

std::string Sha1Of(std::string_view bytes) {
  std::array<unsigned char, 20> digest{};
  unsigned int length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha1(), nullptr);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

Result<RevokedKeys> RevokedKeys::Parse(std::string_view bytes) {
  RevokedKeys revoked;
  if (bytes.substr(0, kMagic.size()) == kMagic) {
    TRY_VOID(revoked.ReadKrl(bytes.substr(kMagic.size())));
    return revoked;
  }
  for (const KeyLine& line : ParseAuthorizedKeys(bytes, kMaxLines))
    if (line.key) revoked.blobs_.insert(line.key->blob);
  return revoked;
}

Status RevokedKeys::ReadKrl(std::string_view bytes) {
  enum Section : char { kCertificates = 1, kKeys = 2, kSha1 = 3, kSignature = 4, kSha256 = 5 };
  WireText text(bytes);
  const bool head = text.U32() && text.Take(24) && text.Next() && text.Next();
  if (!head) return InvalidArgument("the KRL is cut");
  while (!text.empty()) {
    const auto section = text.Take(1), data = text.Next();
    if (!section || !data) return InvalidArgument("the KRL is cut");
    if ((*section)[0] == kSignature) return Ok();
    if ((*section)[0] == kCertificates) continue;
    auto* list = (*section)[0] == kKeys     ? &blobs_
                 : (*section)[0] == kSha1   ? &sha1_
                 : (*section)[0] == kSha256 ? &sha256_
                                            : nullptr;
    if (list == nullptr) return InvalidArgument("the KRL has a section of an unknown kind");
    for (WireText inside(*data); !inside.empty();) {
      const auto value = inside.Next();
      if (!value) return InvalidArgument("the KRL is cut");
      list->emplace(*value);
    }
  }
  return Ok();
}

bool RevokedKeys::Holds(const SshPublicKey& key) const {
  if (blobs_.count(key.blob) != 0) return true;
  if (!sha256_.empty() && sha256_.count(AsBytes(Sha256Of(key.blob))) != 0) return true;
  return !sha1_.empty() && sha1_.count(Sha1Of(key.blob)) != 0;
}

}  // namespace culprit
