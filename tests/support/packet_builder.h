// SPDX-License-Identifier: Apache-2.0
// Bytes of packets for tests: every builder puts its header, with the right lengths, before what it
// is given. Checksums are zero. Stage: tests. Thread: pure.
#ifndef CULPRIT_TESTS_SUPPORT_PACKET_BUILDER_H_
#define CULPRIT_TESTS_SUPPORT_PACKET_BUILDER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/model/packet.h"
#include "common/net_address.h"

namespace culprit::testing {

inline std::string U8(unsigned value) { return {static_cast<char>(value)}; }
inline std::string Be16(unsigned value) { return U8(value >> 8 & 0xff) + U8(value & 0xff); }
inline std::string Be24(unsigned value) { return U8(value >> 16 & 0xff) + Be16(value & 0xffff); }
inline std::string Be32(std::uint32_t value) { return Be16(value >> 16) + Be16(value & 0xffff); }
inline std::string Le16(unsigned value) { return U8(value & 0xff) + U8(value >> 8 & 0xff); }
inline std::string Le32(std::uint32_t value) { return Le16(value & 0xffff) + Le16(value >> 16); }
inline std::string Zeros(std::size_t n) { return std::string(n, '\0'); }
// With its length before it.
inline std::string Counted8(std::string_view bytes) {
  return U8(static_cast<unsigned>(bytes.size())) + std::string(bytes);
}
inline std::string Counted16(std::string_view bytes) {
  return Be16(static_cast<unsigned>(bytes.size())) + std::string(bytes);
}

inline std::string AddressBytes(std::string_view text) {
  const IpAddress address = IpAddress::Parse(text).value();
  return std::string(address.AsBytes().substr(address.IsV4() ? 12 : 0));
}

inline constexpr unsigned kEtherIpv4 = 0x0800, kEtherIpv6 = 0x86dd;

inline std::string EthernetFrame(unsigned ether_type, std::string_view payload) {
  return std::string("\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12) + Be16(ether_type) +
         std::string(payload);
}
// The tag as it stands behind an EtherType 0x8100 or 0x88a8.
inline std::string VlanTag(unsigned id, unsigned ether_type, std::string_view payload) {
  return Be16(id) + Be16(ether_type) + std::string(payload);
}

struct Ipv4Fields {
  std::string_view source = "192.0.2.1";
  std::string_view destination = "198.51.100.7";
  std::string_view options = "";  // a multiple of four
  unsigned fragment = 0;          // flags and offset, as in the header
  int total_length = -1;          // other than the right one
};
inline std::string Ipv4Packet(unsigned protocol, std::string_view payload,
                              const Ipv4Fields& fields = {}) {
  const auto header = static_cast<unsigned>(20 + fields.options.size());
  const auto total = static_cast<unsigned>(header + payload.size());
  return U8(0x40 | header / 4) + U8(0) +
         Be16(fields.total_length < 0 ? total : static_cast<unsigned>(fields.total_length)) +
         Be16(1) + Be16(fields.fragment) + U8(64) + U8(protocol) + Be16(0) +
         AddressBytes(fields.source) + AddressBytes(fields.destination) +
         std::string(fields.options) + std::string(payload);
}

struct Ipv6Fields {
  std::string_view source = "2001:db8::1";
  std::string_view destination = "2001:db8::7";
  int payload_length = -1;
};
inline std::string Ipv6Packet(unsigned next_header, std::string_view payload,
                              const Ipv6Fields& fields = {}) {
  const auto length = static_cast<unsigned>(payload.size());
  return Be32(0x60000000) +
         Be16(fields.payload_length < 0 ? length : static_cast<unsigned>(fields.payload_length)) +
         U8(next_header) + U8(64) + AddressBytes(fields.source) + AddressBytes(fields.destination) +
         std::string(payload);
}
// An extension header of eight bytes (hop-by-hop, routing, destination options).
inline std::string Ipv6Extension(unsigned next_header, std::string_view payload) {
  return U8(next_header) + Zeros(7) + std::string(payload);
}

struct TcpFields {
  std::uint16_t source_port = 40'000, destination_port = 443;
  std::uint32_t seq = 1'000, ack = 2'000;
  unsigned flags = kTcpAck;
  unsigned window = 512;
  std::string_view options = "";  // a multiple of four
};
inline std::string TcpSegment(const TcpFields& fields, std::string_view payload) {
  const auto header = static_cast<unsigned>(20 + fields.options.size());
  return Be16(fields.source_port) + Be16(fields.destination_port) + Be32(fields.seq) +
         Be32(fields.ack) + U8(header / 4 << 4) + U8(fields.flags) + Be16(fields.window) + Be32(0) +
         std::string(fields.options) + std::string(payload);
}

inline std::string UdpDatagram(unsigned source_port, unsigned destination_port,
                               std::string_view payload) {
  return Be16(source_port) + Be16(destination_port) +
         Be16(static_cast<unsigned>(8 + payload.size())) + Be16(0) + std::string(payload);
}

// As a source would hand it over whole. `bytes` must outlive it.
inline CapturedPacket Captured(std::string_view bytes, int link_type = 1) {
  CapturedPacket captured;
  captured.link_type = link_type;
  captured.wire_bytes = static_cast<std::uint32_t>(bytes.size());
  captured.bytes = bytes;
  return captured;
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_SUPPORT_PACKET_BUILDER_H_
