// SPDX-License-Identifier: Apache-2.0
#include "common/community_id.h"

#include <netinet/in.h>
#include <openssl/evp.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace culprit {
namespace {

// Types of request and answer belong to one flow: each names its counterpart.
constexpr std::pair<std::uint8_t, std::uint8_t> kIcmpPairs[] = {
    {8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};  // echo, timestamp, info, router, mask
constexpr std::pair<std::uint8_t, std::uint8_t> kIcmp6Pairs[] = {
    {128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}};

template <std::size_t N>
std::optional<std::uint8_t> Counterpart(const std::pair<std::uint8_t, std::uint8_t> (&pairs)[N],
                                        std::uint16_t type) {
  for (const auto& [request, answer] : pairs) {
    if (type == request) return answer;
    if (type == answer) return request;
  }
  return std::nullopt;
}

bool HasPorts(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
         protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

std::string_view HashedAddress(const IpAddress& address) {
  return address.IsV4() ? address.AsBytes().substr(12) : address.AsBytes();
}

std::string PortBytes(std::uint16_t port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)};
}

std::string Base64(const unsigned char* bytes, unsigned size) {
  std::array<unsigned char, (EVP_MAX_MD_SIZE + 2) / 3 * 4 + 1> text;
  const int length = EVP_EncodeBlock(text.data(), bytes, static_cast<int>(size));
  return {reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(length)};
}

}  // namespace

std::string CommunityId(const Endpoint& source, const Endpoint& destination,
                        std::uint8_t protocol) {
  Endpoint low = source;
  Endpoint high = destination;
  bool one_way = false;  // a message that has no answer: its direction is part of the flow
  if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
    const auto counterpart = protocol == IPPROTO_ICMP ? Counterpart(kIcmpPairs, source.port)
                                                      : Counterpart(kIcmp6Pairs, source.port);
    if (counterpart) high.port = *counterpart;
    one_way = !counterpart;
  }
  const std::string_view a = HashedAddress(low.address);
  const std::string_view b = HashedAddress(high.address);
  if (!one_way && (b < a || (a == b && high.port < low.port))) std::swap(low, high);

  std::string hashed("\0\0", 2);  // the seed
  hashed += HashedAddress(low.address);
  hashed += HashedAddress(high.address);
  hashed += static_cast<char>(protocol);
  hashed += '\0';
  if (HasPorts(protocol)) hashed += PortBytes(low.port) + PortBytes(high.port);

  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (EVP_Digest(hashed.data(), hashed.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) {
    return {};  // no SHA-1 in this OpenSSL: no id rather than a wrong one
  }
  return "1:" + Base64(digest.data(), size);
}

}  // namespace culprit
