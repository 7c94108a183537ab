// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/join_token.h"

#include <algorithm>

#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::string_view kPrefix = "culprit-join-";
constexpr std::size_t kIdDigits = 8;

}  // namespace

std::string MakeToken(const std::array<std::uint8_t, kTokenBytes>& random) {
  return std::string(kPrefix) +
         HexEncode({reinterpret_cast<const char*>(random.data()), random.size()});
}

bool IsToken(std::string_view text) {
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + 2 * kTokenBytes) return false;
  return std::ranges::all_of(text.substr(kPrefix.size()), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

std::string TokenHash(std::string_view token) { return HexEncode(AsBytes(Sha256Of(token))); }

std::string TokenId(std::string_view token_hash) {
  return std::string(token_hash.substr(0, kIdDigits));
}

}  // namespace culprit
