// SPDX-License-Identifier: Apache-2.0
#include "common/ids.h"

#include <sys/random.h>

#include <cstring>

#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {

Uuid Uuid::Random() {
  Uuid u;
  // 16 bytes never come short once the pool is initialised (getrandom(2)).
  while (getrandom(u.bytes.data(), u.bytes.size(), 0) != static_cast<ssize_t>(u.bytes.size())) {
  }
  u.bytes[6] = static_cast<std::uint8_t>((u.bytes[6] & 0x0f) | 0x40);
  u.bytes[8] = static_cast<std::uint8_t>((u.bytes[8] & 0x3f) | 0x80);
  return u;
}

Result<Uuid> Uuid::Parse(std::string_view text) {
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash_place = i == 8 || i == 13 || i == 18 || i == 23;
    if ((text[i] == '-') != dash_place) return InvalidArgument("not a UUID");
    if (!dash_place) digits.push_back(text[i]);
  }
  TRY(const std::string raw, HexDecode(digits));
  return FromBytes(raw);
}

Result<Uuid> Uuid::FromBytes(std::string_view bytes) {
  Uuid u;
  if (bytes.size() != u.bytes.size()) return InvalidArgument("a UUID has 16 bytes");
  std::memcpy(u.bytes.data(), bytes.data(), bytes.size());
  return u;
}

std::string Uuid::ToString() const {
  std::string hex = HexEncode(AsBytes());
  for (const std::size_t at : {20U, 16U, 12U, 8U}) hex.insert(at, "-");
  return hex;
}

ProcessId MakeProcessId(const Uuid& boot_id, const ProcessKey& key) {
  std::array<std::uint64_t, 3> words{key.tgid.value(), ToNs(key.start), key.exec_id};
  Sha256 hash;
  hash.Update(boot_id.AsBytes());
  hash.Update({reinterpret_cast<const char*>(words.data()), sizeof(words)});
  const Sha256Digest digest = hash.Finish();
  std::uint64_t id = 0;
  std::memcpy(&id, digest.data(), sizeof(id));
  return ProcessId{id == 0 ? 1 : id};
}

}  // namespace culprit
