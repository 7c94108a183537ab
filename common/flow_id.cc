// SPDX-License-Identifier: Apache-2.0
#include "common/flow_id.h"

#include <array>
#include <bit>
#include <cstring>
#include <span>

namespace culprit {
namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void Word(std::uint64_t m) {
    v3 ^= m;
    Round();
    Round();
    v0 ^= m;
  }
};

std::uint64_t SipHash(const Uuid& key, std::span<const std::uint64_t> words) {
  std::array<std::uint64_t, 2> k{};
  std::memcpy(k.data(), key.bytes.data(), sizeof(k));
  SipState s{k[0] ^ 0x736f6d6570736575ULL, k[1] ^ 0x646f72616e646f6dULL,
             k[0] ^ 0x6c7967656e657261ULL, k[1] ^ 0x7465646279746573ULL};
  for (const std::uint64_t word : words) s.Word(word);
  s.Word((words.size() * 8) << 56);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) s.Round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

}  // namespace

FlowId MakeFlowId(const Uuid& boot_id, const FlowIdentity& flow) {
  std::array<std::uint64_t, 5> words{flow.cookie.value(), flow.generation, 0, 0, 0};
  std::size_t count = 2;
  if (flow.is_peer) {
    std::memcpy(&words[2], flow.remote.address.bytes().data(), 16);
    words[4] = (std::uint64_t{flow.protocol} << 16) | flow.remote.port;
    count = words.size();
  }
  const std::uint64_t id = SipHash(boot_id, std::span(words.data(), count));
  return FlowId{id == 0 ? 1 : id};
}

}  // namespace culprit
