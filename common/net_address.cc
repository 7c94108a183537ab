// SPDX-License-Identifier: Apache-2.0
#include "common/net_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "common/number.h"

namespace culprit {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Result<std::uint16_t> ParsePort(std::string_view text) {
  std::uint16_t port = 0;
  if (!ParseWhole(text, &port)) {
    return InvalidArgument("not a port (0-65535): '" + std::string(text) + "'");
  }
  return port;
}

bool InV4(const IpAddress& a, std::uint32_t base, int bits) {
  const auto& b = a.bytes();
  const std::uint32_t v = (std::uint32_t{b[12]} << 24) | (std::uint32_t{b[13]} << 16) |
                          (std::uint32_t{b[14]} << 8) | b[15];
  return (v >> (32 - bits)) == (base >> (32 - bits));
}

}  // namespace

IpAddress IpAddress::FromV4Bytes(const std::uint8_t (&bytes)[4]) {
  IpAddress a;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), a.bytes_.begin());
  std::copy(bytes, bytes + 4, a.bytes_.begin() + 12);
  return a;
}

Result<IpAddress> IpAddress::FromBytes(std::string_view bytes) {
  IpAddress a;
  if (bytes.size() == 4) {
    std::uint8_t v4[4];
    std::memcpy(v4, bytes.data(), sizeof(v4));
    return FromV4Bytes(v4);
  }
  if (bytes.size() != 16) return InvalidArgument("an address has 4 or 16 bytes");
  std::memcpy(a.bytes_.data(), bytes.data(), 16);
  return a;
}

Result<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::string z(text);
  std::uint8_t v4[4];
  if (inet_pton(AF_INET, z.c_str(), v4) == 1) return FromV4Bytes(v4);
  IpAddress a;
  if (inet_pton(AF_INET6, z.c_str(), a.bytes_.data()) == 1) return a;
  return InvalidArgument("not an IP address: '" + z + "'");
}

bool IpAddress::IsV4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin());
}

bool IpAddress::IsUnspecified() const {
  return std::all_of(bytes_.begin() + (IsV4() ? 12 : 0), bytes_.end(),
                     [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::IsLoopback() const {
  if (IsV4()) return bytes_[12] == 127;
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::IsPublic() const {
  if (IsUnspecified() || IsLoopback()) return false;
  if (IsV4()) {
    return !InV4(*this, 0x0a000000U, 8) && !InV4(*this, 0xac100000U, 12) &&
           !InV4(*this, 0xc0a80000U, 16) && !InV4(*this, 0xa9fe0000U, 16) &&
           !InV4(*this, 0x64400000U, 10) && !InV4(*this, 0xe0000000U, 3);
  }
  const bool unique_local = (bytes_[0] & 0xfe) == 0xfc;
  const bool link_local = bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
  return !unique_local && !link_local && bytes_[0] != 0xff;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  if (IsV4()) {  // millions of lines have one: inet_ntop takes ten times as long
    char* at = text;
    for (std::size_t i = 12; i < 16; ++i) {
      at = std::to_chars(at, std::end(text), bytes_[i]).ptr;
      *at++ = '.';
    }
    return {text, at - 1};
  }
  return inet_ntop(AF_INET6, bytes_.data(), text, sizeof(text));
}

std::string AddressText(std::string_view bytes) {
  const auto address = IpAddress::FromBytes(bytes);
  return address ? address->ToString() : "";
}

Result<Endpoint> Endpoint::Parse(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos)
      return InvalidArgument("missing ']' in '" + std::string(text) + "'");
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) {
      return InvalidArgument("expected ':PORT' after ']' in '" + std::string(text) + "'");
    }
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty())
      return InvalidArgument("empty port in '" + std::string(text) + "'");
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const auto colon = text.find(':');
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return InvalidArgument("empty port in '" + std::string(text) + "'");
  }
  Endpoint e;
  TRY(e.address, IpAddress::Parse(host));
  if (!port.empty()) {
    TRY(e.port, ParsePort(port));
  }
  return e;
}

std::string Endpoint::ToString() const {
  std::string text = address.ToString();
  if (!address.IsV4()) text.insert(0, 1, '[').push_back(']');
  char digits[8];
  text.push_back(':');
  return text.append(digits, std::to_chars(std::begin(digits), std::end(digits), port).ptr);
}

Result<Cidr> Cidr::Parse(std::string_view text) {
  const auto slash = text.find('/');
  Cidr c;
  TRY(c.base, IpAddress::Parse(text.substr(0, slash)));
  if (slash == std::string_view::npos) return c;
  unsigned length = 0;
  const unsigned width = c.base.IsV4() ? 32 : 128;
  if (!ParseWhole(text.substr(slash + 1), &length) || length > width) {
    return InvalidArgument("prefix length of '" + std::string(text) + "' must be 0-" +
                           std::to_string(width));
  }
  c.prefix_length = static_cast<std::uint8_t>(length + (128 - width));
  c.base = c.First();
  return c;
}

bool Cidr::Contains(const IpAddress& address) const {
  return First() <= address && address <= Last();
}

IpAddress Cidr::First() const {
  auto bytes = base.bytes();
  for (std::size_t bit = prefix_length; bit < 128; ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  return *IpAddress::FromBytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

IpAddress Cidr::Last() const {
  auto bytes = base.bytes();
  for (std::size_t bit = prefix_length; bit < 128; ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | (0x80U >> (bit % 8)));
  }
  return *IpAddress::FromBytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string Cidr::ToString() const {
  const int shown = base.IsV4() ? prefix_length - 96 : prefix_length;
  return base.ToString() + "/" + std::to_string(shown);
}

}  // namespace culprit
