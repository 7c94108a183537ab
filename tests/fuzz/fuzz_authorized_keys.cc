// SPDX-License-Identifier: Apache-2.0
// Any bytes as authorized_keys, as a list of revoked keys, as a private key and as a list of bad
// keys.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/posture/authorized_keys.h"
#include "agent/posture/key_scan.h"
#include "agent/posture/revoked_keys.h"

namespace {

using namespace culprit;

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto revoked = RevokedKeys::Parse(bytes);
  for (const KeyLine& line : ParseAuthorizedKeys(bytes, 1'000)) {
    Require(line.key.has_value() || !line.refused.empty());
    if (!line.key) continue;
    Require(line.key->fingerprint == FingerprintOf(line.key->blob));
    Require(!AlgorithmsOf(*line.key).empty());
    const auto again = ParseKeyBlob(line.key->blob);
    Require(again.has_value() && again->type == line.key->type);
    // A list of plain keys, as this one, revokes what is in it.
    if (revoked && bytes.substr(0, 6) != "SSHKRL") Require(revoked->Holds(*line.key));
  }
  const auto key = ReadPrivateKey(bytes, bytes);
  if (key) Require(!key->type.empty());
  KnownBadKeys known;
  if (!known.Add(bytes)) return 0;
  (void)KeyBaseline::Parse(bytes);
  return 0;
}
