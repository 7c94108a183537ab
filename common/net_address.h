// SPDX-License-Identifier: Apache-2.0
// IP addresses, endpoints and CIDR blocks: parse and format, no sockets.
// Stage: common. Thread: values. IPv4 is kept in its IPv4-mapped IPv6 form (RFC 4291 2.5.5.2), so
// that one type serves both and an IPv4-mapped socket compares equal to a plain IPv4 one.
#ifndef CULPRIT_COMMON_NET_ADDRESS_H_
#define CULPRIT_COMMON_NET_ADDRESS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "common/bytes.h"
#include "common/result.h"

namespace culprit {

class IpAddress {
 public:
  constexpr IpAddress() = default;  // "::", the unspecified address
  static IpAddress FromV4Bytes(const std::uint8_t (&bytes)[4]);
  static Result<IpAddress> FromBytes(std::string_view bytes);  // 4 or 16 bytes, network order
  static Result<IpAddress> Parse(std::string_view text);       // dotted quad or RFC 4291 text

  bool IsV4() const;           // also for ::ffff:a.b.c.d
  bool IsUnspecified() const;  // 0.0.0.0 or ::
  bool IsLoopback() const;     // 127.0.0.0/8 or ::1
  // Whether the address is outside the private, loopback, link-local, multicast and unique-local
  // ranges. Documentation ranges count as public (tests stand on them).
  bool IsPublic() const;
  // The 16 bytes of the (mapped) IPv6 form.
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  std::string_view AsBytes() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  std::string ToString() const;  // "192.0.2.1", "2001:db8::1" (RFC 5952)

  // In network order. As two words each: tables of flows compare for every packet.
  friend bool operator==(const IpAddress& a, const IpAddress& b) {
    return a.Word(0) == b.Word(0) && a.Word(1) == b.Word(1);
  }
  friend std::strong_ordering operator<=>(const IpAddress& a, const IpAddress& b) {
    if (a.Word(0) != b.Word(0)) return a.Word(0) <=> b.Word(0);
    return a.Word(1) <=> b.Word(1);
  }

 private:
  std::uint64_t Word(std::size_t index) const {
    return LoadBe<std::uint64_t>(AsBytes().data() + 8 * index);
  }

  std::array<std::uint8_t, 16> bytes_{};
};

// Of an address in bytes; empty where there is none.
std::string AddressText(std::string_view bytes);

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;  // host byte order; 0 = none

  static Result<Endpoint> Parse(std::string_view text);  // "ADDR", "ADDR:PORT" or "[V6]:PORT"
  std::string ToString() const;                          // "192.0.2.1:443", "[2001:db8::1]:443"
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

struct Cidr {
  IpAddress base;
  std::uint8_t prefix_length = 128;  // of the 128-bit form: an IPv4 /24 is 120

  static Result<Cidr> Parse(
      std::string_view text);  // "192.0.2.0/24", "2001:db8::/32", or one address
  bool Contains(const IpAddress& address) const;
  // The lowest and highest address of the block, for range scans.
  IpAddress First() const;
  IpAddress Last() const;
  std::string ToString() const;
};

// The finalizer of MurmurHash3: every bit of the result depends on every bit of `h`. No secret.
constexpr std::uint64_t MixBits(std::uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

}  // namespace culprit

template <>
struct std::hash<culprit::IpAddress> {
  // Tables of flows ask this for every packet.
  std::size_t operator()(const culprit::IpAddress& a) const noexcept {
    std::uint64_t halves[2];
    std::memcpy(halves, a.bytes().data(), sizeof(halves));
    return culprit::MixBits(culprit::MixBits(halves[0]) ^ halves[1]);
  }
};

#endif  // CULPRIT_COMMON_NET_ADDRESS_H_
