// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/decode/packet_decoder.h"
#include "tests/support/packet_builder.h"

namespace culprit {
namespace {

using namespace testing;

constexpr Ipv4Fields kOuter4{.source = "203.0.113.1", .destination = "203.0.113.2"};
constexpr Ipv6Fields kOuter6{.source = "2001:db8:f::1", .destination = "2001:db8:f::2"};

std::string Inner4() { return Ipv4Packet(6, TcpSegment({}, "hello")); }
std::string Inner6() { return Ipv6Packet(6, TcpSegment({}, "hello")); }
std::string InnerFrame() { return EthernetFrame(kEtherIpv4, Inner4()); }

std::string Gre(unsigned flags, unsigned protocol, std::string_view rest) {
  return Ipv4Packet(47, Be16(flags) + Be16(protocol) + std::string(rest), kOuter4);
}
std::string OverUdp(unsigned port, std::string_view payload) {
  return Ipv4Packet(17, UdpDatagram(50'000, port, payload), kOuter4);
}
std::string Vxlan(std::string_view frame) {
  return std::string("\x08\0\0\0", 4) + Be24(77) + U8(0) + std::string(frame);
}
std::string Geneve(unsigned protocol, std::string_view options, std::string_view inner) {
  return U8(static_cast<unsigned>(options.size() / 4)) + U8(0) + Be16(protocol) + Be24(77) + U8(0) +
         std::string(options) + std::string(inner);
}
std::string Gtp(unsigned flags, unsigned type, std::string_view rest) {
  return U8(flags) + U8(type) + Be16(static_cast<unsigned>(rest.size())) + Be32(77) +
         std::string(rest);
}

struct TunnelCase {
  const char* name;
  Tunnel tunnel;
  std::uint32_t id;
  std::string bytes;
};

std::vector<TunnelCase> TunnelCases() {
  const std::string v4 = Inner4();
  const std::string v6 = Inner6();
  const std::string frame = InnerFrame();
  const std::string teredo_authentication = Be16(1) + U8(2) + U8(1) + "abc" + Zeros(9);
  const std::string origin = Be16(0) + Zeros(6);
  return {
      {"4in4", Tunnel::kIpIp, 0, Ipv4Packet(4, v4, kOuter4)},
      {"6in4", Tunnel::kIpIp, 0, Ipv4Packet(41, v6, kOuter4)},
      {"4in6", Tunnel::kIpIp, 0, Ipv6Packet(4, v4, kOuter6)},
      {"6in6", Tunnel::kIpIp, 0, Ipv6Packet(60, Ipv6Extension(41, v6), kOuter6)},
      {"gre", Tunnel::kGre, 0, Gre(0, kEtherIpv4, v4)},
      {"gre_all", Tunnel::kGre, 77, Gre(0xb000, kEtherIpv6, Be32(0) + Be32(77) + Be32(1) + v6)},
      {"gre_ethernet", Tunnel::kGre, 77, Gre(0x2000, 0x6558, Be32(77) + frame)},
      {"gre_mpls", Tunnel::kGre, 0, Gre(0, 0x8847, Be32(0x140) + v4)},
      {"gre_wccp2", Tunnel::kGre, 0, Gre(0, 0x883e, Be32(1) + v4)},
      {"pptp", Tunnel::kGre, 77,
       Gre(0x3081, 0x880b, Be16(9) + Be16(77) + Be32(1) + Be32(2) + "\xff\x03" + Be16(0x21) + v4)},
      {"erspan1", Tunnel::kErspan, 0, Gre(0, 0x88be, frame)},
      {"erspan2", Tunnel::kErspan, 77,
       Gre(0x1000, 0x88be, Be32(1) + Be16(0x1000) + Be16(77) + Be32(0) + frame)},
      {"erspan3", Tunnel::kErspan, 77,
       Gre(0x1000, 0x22eb,
           Be32(1) + Be16(0x2000) + Be16(77) + Be32(0) + Be32(1) + Zeros(8) + frame)},
      {"vxlan", Tunnel::kVxlan, 77, OverUdp(4789, Vxlan(frame))},
      {"vxlan_linux", Tunnel::kVxlan, 77, OverUdp(8472, Vxlan(frame))},
      {"geneve", Tunnel::kGeneve, 77, OverUdp(6081, Geneve(0x6558, Zeros(8), frame))},
      {"geneve_ip", Tunnel::kGeneve, 77, OverUdp(6081, Geneve(kEtherIpv4, "", v4))},
      {"gtp", Tunnel::kGtp, 77, OverUdp(2152, Gtp(0x30, 255, v4))},
      {"gtp_numbered", Tunnel::kGtp, 77, OverUdp(2152, Gtp(0x32, 255, Zeros(4) + v4))},
      {"gtp_extended", Tunnel::kGtp, 77,
       OverUdp(2152, Gtp(0x34, 255, Zeros(3) + "\x85\x01" + Zeros(2) + U8(0) + v4))},
      {"teredo", Tunnel::kTeredo, 0, OverUdp(3544, v6)},
      {"teredo_headers", Tunnel::kTeredo, 0, OverUdp(3544, teredo_authentication + origin + v6)},
      {"mpls_in_ip", Tunnel::kMpls, 0, Ipv4Packet(137, Be32(0x140) + v4, kOuter4)},
  };
}

TEST(PacketTunnelTest, TheInnermostPacketIsFoundAndTheTunnelNoted) {
  for (const TunnelCase& c : TunnelCases()) {
    SCOPED_TRACE(c.name);
    Packet packet;
    ASSERT_EQ(DecodePacket(Captured(c.bytes, 101), packet), PacketStatus::kOk);
    EXPECT_EQ(packet.tunnel, c.tunnel);
    EXPECT_EQ(packet.tunnel_id, c.id);
    EXPECT_EQ(packet.source.ToString(), packet.ip_version == 4 ? "192.0.2.1" : "2001:db8::1");
    EXPECT_EQ(packet.destination_port, 443);
    EXPECT_EQ(packet.payload, "hello");
    EXPECT_EQ(packet.outer_source.ToString(),
              packet.outer_source.IsV4() ? "203.0.113.1" : "2001:db8:f::1");
    EXPECT_EQ(packet.outer_destination.ToString(),
              packet.outer_destination.IsV4() ? "203.0.113.2" : "2001:db8:f::2");
  }
}

TEST(PacketTunnelTest, NoCutReadsPastTheEnd) {
  for (const TunnelCase& c : TunnelCases()) {
    SCOPED_TRACE(c.name);
    for (std::size_t n = 0; n < c.bytes.size(); ++n) {
      const std::string cut = c.bytes.substr(0, n);
      CapturedPacket captured = Captured(cut, 101);
      captured.wire_bytes = static_cast<std::uint32_t>(c.bytes.size());
      Packet packet;
      const PacketStatus status = DecodePacket(captured, packet);
      EXPECT_TRUE(status == PacketStatus::kOk || status == PacketStatus::kTruncated) << n;
    }
  }
}

TEST(PacketTunnelTest, OfNestedTunnelsTheOutermostIsNoted) {
  const std::string vxlan =
      Ipv4Packet(17, UdpDatagram(1, 4789, Vxlan(InnerFrame())), {.source = "192.0.2.200"});
  const std::string bytes =
      EthernetFrame(0x8100, VlanTag(5, kEtherIpv4, Gre(0x2000, kEtherIpv4, Be32(9) + vxlan)));
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.tunnel, Tunnel::kGre);
  EXPECT_EQ(packet.tunnel_id, 9U);
  EXPECT_EQ(packet.outer_source.ToString(), "203.0.113.1");
  EXPECT_EQ(packet.source.ToString(), "192.0.2.1");
  EXPECT_EQ(packet.vlan, 5);
  EXPECT_EQ(packet.ip_bytes, Inner4().size());
}

TEST(PacketTunnelTest, NestingIsBounded) {
  std::string bytes = Inner4();
  for (int i = 0; i < 100; ++i) bytes = Ipv4Packet(4, bytes);
  Packet packet;
  EXPECT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kTooDeep);
}

TEST(PacketTunnelTest, APortAloneMakesNoTunnel) {
  struct Case {
    const char* name;
    unsigned port;
    std::string payload;
  };
  const Case cases[] = {
      {"text", 4789, "hello, this is no VXLAN"},
      {"vxlan_arp", 4789, Vxlan(EthernetFrame(0x0806, Zeros(28)))},
      {"vxlan_short", 8472, Vxlan("abc")},
      {"vxlan_too_deep", 4789, Vxlan(EthernetFrame(0x8847, std::string(200, '\x20')))},
      {"geneve_options_past_end", 6081, U8(0x3f) + Zeros(7)},
      {"gtp_echo", 2152, Gtp(0x32, 1, Zeros(4))},
      {"gtp_extension_of_no_length", 2152, Gtp(0x34, 255, Zeros(3) + "\x85" + Zeros(20))},
      {"teredo_other_length", 3544, Inner6() + "x"},
      {"empty", 3544, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Packet packet;
    const std::string bytes = OverUdp(c.port, c.payload);
    ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
    EXPECT_EQ(packet.tunnel, Tunnel::kNone);
    EXPECT_EQ(packet.source.ToString(), "203.0.113.1");
    EXPECT_EQ(packet.destination_port, c.port);
    EXPECT_EQ(packet.payload, c.payload);
  }
}

TEST(PacketTunnelTest, ATunnelThatCarriesNoIpIsItselfThePacket) {
  const std::string bytes = Gre(0x2000, 0x6558, Be32(77) + EthernetFrame(0x0806, Zeros(28)));
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.protocol, 47);
  EXPECT_EQ(packet.tunnel, Tunnel::kNone);
  EXPECT_EQ(packet.ip_bytes, bytes.size());
  EXPECT_EQ(packet.payload_bytes, bytes.size() - 20);
}

}  // namespace
}  // namespace culprit
