// SPDX-License-Identifier: Apache-2.0
// Link types, IP and transports. Tunnels: packet_tunnel_test.cc.
#include "agent/decode/packet_decoder.h"

#include <gtest/gtest.h>

#include "tests/support/packet_builder.h"

namespace culprit {
namespace {

using namespace testing;

// Every packet of the tables below is this one, in other clothes.
std::string Inner4() { return Ipv4Packet(6, TcpSegment({}, "hello")); }
std::string Inner6() { return Ipv6Packet(6, TcpSegment({}, "hello")); }

void ExpectInner(const Packet& packet, int version) {
  EXPECT_EQ(packet.ip_version, version);
  EXPECT_EQ(packet.source.ToString(), version == 4 ? "192.0.2.1" : "2001:db8::1");
  EXPECT_EQ(packet.destination.ToString(), version == 4 ? "198.51.100.7" : "2001:db8::7");
  EXPECT_EQ(packet.protocol, 6);
  EXPECT_EQ(packet.source_port, 40'000);
  EXPECT_EQ(packet.destination_port, 443);
  EXPECT_EQ(packet.payload, "hello");
  EXPECT_EQ(packet.payload_bytes, 5U);
}

struct LinkCase {
  const char* name;
  int link_type;
  int version;
  std::string bytes;
};

std::string WifiHeader(unsigned kind, unsigned flags, std::size_t rest) {
  return U8(kind) + U8(flags) + Zeros(rest);
}
std::string Snap(unsigned ether_type) {
  return std::string("\xaa\xaa\x03\0\0\0", 6) + Be16(ether_type);
}
std::string Radiotap(unsigned flags, std::string_view frame) {
  // The timer (bit 0) and the flags (bit 1), then one byte that nobody asked for.
  return std::string("\0\0", 2) + Le16(18) + Le32(3) + Zeros(8) + U8(flags) + U8(0) +
         std::string(frame);
}

std::vector<LinkCase> LinkCases() {
  const std::string v4 = Inner4();
  const std::string v6 = Inner6();
  const std::string wifi = WifiHeader(0x08, 0x01, 22) + Snap(kEtherIpv4) + v4;
  const std::string qos = WifiHeader(0x88, 0x02, 24) + Snap(kEtherIpv6) + v6;
  const std::string qos_padded = WifiHeader(0x88, 0x02, 24) + Zeros(2) + Snap(kEtherIpv6) + v6;
  const std::string nflog_attribute = Le16(7) + Le16(3) + std::string("abc\0", 4);
  return {
      {"ethernet", 1, 4, EthernetFrame(kEtherIpv4, v4)},
      {"ethernet_v6", 1, 6, EthernetFrame(kEtherIpv6, v6)},
      {"vlan", 1, 4, EthernetFrame(0x8100, VlanTag(7, kEtherIpv4, v4))},
      {"qinq", 1, 6, EthernetFrame(0x88a8, VlanTag(7, 0x8100, VlanTag(8, kEtherIpv6, v6)))},
      {"qinq_old", 1, 4, EthernetFrame(0x9100, VlanTag(7, 0x8100, VlanTag(8, kEtherIpv4, v4)))},
      {"snap", 1, 4, EthernetFrame(static_cast<unsigned>(8 + v4.size()), Snap(kEtherIpv4) + v4)},
      {"llc_ip", 1, 4, EthernetFrame(static_cast<unsigned>(3 + v4.size()), "\x06\x06\x03" + v4)},
      {"pppoe", 1, 4,
       EthernetFrame(0x8864, std::string("\x11\0\0\x05", 4) + Counted16(Be16(0x21) + v4))},
      {"mpls", 1, 4, EthernetFrame(0x8847, Be32(0x00010040) + Be32(0x00020140) + v4)},
      {"mpls_pseudowire", 1, 4,
       EthernetFrame(0x8847, Be32(0x00020140) + Be32(0) + EthernetFrame(kEtherIpv4, v4))},
      {"null_little", 0, 4, Le32(2) + v4},
      {"null_big", 0, 6, Be32(30) + v6},
      {"loop", 108, 6, Be32(24) + v6},
      {"raw", 101, 4, v4},
      {"raw_12", 12, 6, v6},
      {"raw_14", 14, 4, v4},
      {"ipv4", 228, 4, v4},
      {"ipv6", 229, 6, v6},
      {"sll", 113, 4, Be16(0) + Be16(1) + Zeros(10) + Be16(kEtherIpv4) + v4},
      {"sll_vlan", 113, 4, Zeros(14) + Be16(0x8100) + VlanTag(7, kEtherIpv4, v4)},
      {"sll2", 276, 6, Be16(kEtherIpv6) + Zeros(18) + v6},
      {"ppp", 9, 4, "\xff\x03" + Be16(0x21) + v4},
      {"ppp_bare", 9, 6, Be16(0x57) + v6},
      {"ppp_compressed", 9, 4, "\x21" + v4},
      {"ppp_hdlc", 50, 4, "\xff\x03" + Be16(0x21) + v4},
      {"ppp_ether", 51, 4, std::string("\x11\0\0\x05", 4) + Counted16(Be16(0x21) + v4)},
      {"cisco_hdlc", 104, 4, std::string("\x0f\0", 2) + Be16(kEtherIpv4) + v4},
      {"wifi", 105, 4, wifi},
      {"wifi_qos", 105, 6, qos},
      {"wifi_four_addresses", 105, 4, WifiHeader(0x08, 0x03, 28) + Snap(kEtherIpv4) + v4},
      {"prism", 119, 4, Le32(0x44) + Le32(144) + Zeros(136) + wifi},
      {"avs", 163, 4, Be32(0x80211001) + Be32(64) + Zeros(56) + wifi},
      {"radiotap", 127, 4, Radiotap(0, wifi)},
      {"radiotap_pad", 127, 6, Radiotap(0x20, qos_padded)},
      {"nflog", 239, 4,
       U8(2) + Zeros(3) + nflog_attribute + Le16(static_cast<unsigned>(4 + v4.size())) + Le16(9) +
           v4},
  };
}

TEST(PacketDecoderTest, TheSamePacketIsFoundBehindEveryLinkHeader) {
  for (const LinkCase& c : LinkCases()) {
    SCOPED_TRACE(c.name);
    Packet packet;
    EXPECT_EQ(DecodePacket(Captured(c.bytes, c.link_type), packet), PacketStatus::kOk);
    ExpectInner(packet, c.version);
    EXPECT_TRUE(LinkTypeKnown(c.link_type));
  }
}

TEST(PacketDecoderTest, NoCutOfAPacketReadsPastItsEnd) {
  for (const LinkCase& c : LinkCases()) {
    SCOPED_TRACE(c.name);
    const std::size_t ports_end = c.bytes.size() - 5 - 16;
    for (std::size_t n = 0; n < c.bytes.size(); ++n) {
      const std::string cut = c.bytes.substr(0, n);  // of its exact size, for the sanitizer
      CapturedPacket captured = Captured(cut, c.link_type);
      captured.wire_bytes = static_cast<std::uint32_t>(c.bytes.size());
      Packet packet;
      const PacketStatus status = DecodePacket(captured, packet);
      EXPECT_EQ(status, n < ports_end ? PacketStatus::kTruncated : PacketStatus::kOk) << n;
      if (status == PacketStatus::kOk) {
        EXPECT_EQ(packet.payload_bytes, 5U) << n;
        EXPECT_EQ(packet.payload.size(), n + 5 > c.bytes.size() ? n + 5 - c.bytes.size() : 0) << n;
      }
    }
  }
}

TEST(PacketDecoderTest, TheOutermostVlanIsNoted) {
  const std::string bytes =
      EthernetFrame(0x88a8, VlanTag(0x2007, 0x8100, VlanTag(8, kEtherIpv4, Inner4())));
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.vlan, 7);
}

TEST(PacketDecoderTest, WhatIsNotIpIsToldFromWhatIsBroken) {
  struct Case {
    const char* name;
    int link_type;
    std::string bytes;
    PacketStatus status;
  };
  const std::string udp = UdpDatagram(1, 2, "x");
  const Case cases[] = {
      {"arp", 1, EthernetFrame(0x0806, Zeros(28)), PacketStatus::kNotIp},
      {"lldp", 1, EthernetFrame(0x88cc, Zeros(28)), PacketStatus::kNotIp},
      {"spanning_tree", 1, EthernetFrame(38, "\x42\x42\x03" + Zeros(35)), PacketStatus::kNotIp},
      {"pppoe_discovery", 1, EthernetFrame(0x8864, "\x11\x09" + Zeros(4)), PacketStatus::kNotIp},
      {"beacon", 105, WifiHeader(0x80, 0, 60), PacketStatus::kNotIp},
      {"encrypted", 105, WifiHeader(0x08, 0x41, 60), PacketStatus::kNotIp},
      {"null_data", 105, WifiHeader(0x48, 0x01, 22), PacketStatus::kNotIp},
      {"lcp", 9, "\xff\x03" + Be16(0xc021) + Zeros(4), PacketStatus::kNotIp},
      {"usb", 189, Zeros(64), PacketStatus::kUnknownLink},
      {"empty_frame", 1, "", PacketStatus::kMalformed},
      {"version_4_as_6", 1, EthernetFrame(kEtherIpv6, Inner4()), PacketStatus::kMalformed},
      {"version_5", 101, "\x50" + Zeros(40), PacketStatus::kMalformed},
      {"header_below_20", 101, "\x44" + Ipv4Packet(17, udp).substr(1), PacketStatus::kMalformed},
      {"total_below_header", 101, Ipv4Packet(17, udp, {.total_length = 19}),
       PacketStatus::kMalformed},
      {"total_below_transport", 101, Ipv4Packet(17, udp, {.total_length = 27}),
       PacketStatus::kMalformed},
      {"udp_length_below_header", 101, Ipv4Packet(17, Be32(1) + Be16(7) + Be16(0)),
       PacketStatus::kMalformed},
      {"tcp_offset_below_20", 101, Ipv4Packet(6, Zeros(12) + "\x40" + Zeros(7)),
       PacketStatus::kMalformed},
      {"tcp_offset_past_end", 101, Ipv4Packet(6, Zeros(12) + "\xf0" + Zeros(7)),
       PacketStatus::kMalformed},
      {"radiotap_length", 127, Zeros(2) + Le16(7) + Zeros(40), PacketStatus::kMalformed},
      {"nflog_length", 239, "\x02" + Zeros(3) + Le16(3) + Le16(1), PacketStatus::kMalformed},
  };
  for (const Case& c : cases) {
    Packet packet;
    EXPECT_EQ(DecodePacket(Captured(c.bytes, c.link_type), packet), c.status) << c.name;
  }
}

TEST(PacketDecoderTest, PaddingOfAShortFrameIsNoPayload) {
  const std::string bytes =
      EthernetFrame(kEtherIpv4, Ipv4Packet(17, UdpDatagram(1, 2, "x"))) + Zeros(17);
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.payload, "x");
  EXPECT_EQ(packet.ip_bytes, 29U);
  // A bare ACK of 40 bytes is padded to 46.
  const std::string ack = EthernetFrame(kEtherIpv4, Ipv4Packet(6, TcpSegment({}, ""))) + Zeros(6);
  ASSERT_EQ(DecodePacket(Captured(ack), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.payload_bytes, 0U);
}

TEST(PacketDecoderTest, ATotalLengthOfZeroMeansAllThatWasOnTheWire) {
  const std::string segment = TcpSegment({}, std::string(3'000, 'a'));
  Packet packet;
  const std::string v4 = Ipv4Packet(6, segment, {.total_length = 0});
  ASSERT_EQ(DecodePacket(Captured(v4, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.payload_bytes, 3'000U);
  EXPECT_EQ(packet.ip_bytes, 3'040U);
  const std::string v6 = Ipv6Packet(6, segment, {.payload_length = 0});
  ASSERT_EQ(DecodePacket(Captured(v6, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.payload_bytes, 3'000U);
  EXPECT_EQ(packet.ip_bytes, 3'060U);
}

TEST(PacketDecoderTest, ALengthThatClaimsMoreThanWasOnTheWireAddsNothing) {
  const std::string bytes = Ipv4Packet(17, UdpDatagram(1, 2, "abc"), {.total_length = 60'000});
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.ip_bytes, bytes.size());
  EXPECT_EQ(packet.payload_bytes, 3U);
}

TEST(PacketDecoderTest, TcpFieldsAreRead) {
  const std::string bytes = Ipv4Packet(6,
                                       TcpSegment({.seq = 0xfffffffe,
                                                   .ack = 9,
                                                   .flags = kTcpSyn | kTcpAck,
                                                   .window = 4'096,
                                                   .options = "\x02\x04\x05\xb4"},
                                                  ""),
                                       {.options = std::string_view("\x94\x04\0\0", 4)});
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.tcp_seq, 0xfffffffe);
  EXPECT_EQ(packet.tcp_ack, 9U);
  EXPECT_EQ(packet.tcp_flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(packet.tcp_window, 4'096);
  EXPECT_EQ(packet.payload_bytes, 0U);
}

TEST(PacketDecoderTest, EveryTransportHasItsPayload) {
  struct Case {
    const char* name;
    unsigned protocol;
    std::string bytes;
    std::string payload;
    std::uint16_t source_port;
  };
  const Case cases[] = {
      {"udp", 17, UdpDatagram(5, 6, "abc"), "abc", 5},
      {"udp_shorter_than_ip", 17, UdpDatagram(5, 6, "abc") + "zz", "abc", 5},
      {"udp_lite", 136, Be16(5) + Be16(6) + Be16(8) + Be16(0) + "abc", "abc", 5},
      {"sctp", 132, Be16(5) + Be16(6) + Zeros(8) + "abc", "abc", 5},
      {"icmp", 1, U8(8) + U8(0) + Zeros(6) + "abc", "abc", 0},
      {"esp", 50, "abc", "abc", 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Packet packet;
    const std::string bytes = Ipv4Packet(c.protocol, c.bytes);
    ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
    EXPECT_EQ(packet.protocol, c.protocol);
    EXPECT_EQ(packet.payload, c.payload);
    EXPECT_EQ(packet.payload_bytes, c.payload.size());
    EXPECT_EQ(packet.source_port, c.source_port);
  }
}

TEST(PacketDecoderTest, IcmpTypeAndCodeAreRead) {
  const std::string bytes = Ipv6Packet(58, U8(1) + U8(4) + Zeros(6));
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.icmp_type, 1);
  EXPECT_EQ(packet.icmp_code, 4);
}

TEST(PacketDecoderTest, ExtensionHeadersAreFollowed) {
  const std::string udp = UdpDatagram(5, 6, "abc");
  const std::string ah = U8(17) + U8(4) + Zeros(22) + udp;
  const std::string chain = Ipv6Extension(43, Ipv6Extension(60, Ipv6Extension(51, ah)));
  Packet packet;
  const std::string bytes = Ipv6Packet(0, chain);
  ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.protocol, 17);
  EXPECT_EQ(packet.destination_port, 6);
  EXPECT_EQ(packet.payload, "abc");

  const std::string v4 = Ipv4Packet(51, ah);
  ASSERT_EQ(DecodePacket(Captured(v4, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.destination_port, 6);
}

TEST(PacketDecoderTest, AChainWithoutEndIsTooDeep) {
  std::string chain = UdpDatagram(5, 6, "");
  for (int i = 0; i < 200; ++i) chain = Ipv6Extension(i == 0 ? 17 : 60, chain);
  Packet packet;
  const std::string bytes = Ipv6Packet(60, chain);
  EXPECT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kTooDeep);
}

TEST(PacketDecoderTest, OnlyTheFirstFragmentHasPorts) {
  const std::string udp = UdpDatagram(5, 6, std::string(64, 'a'));
  Packet packet;
  const std::string first = Ipv4Packet(17, udp.substr(0, 40), {.fragment = 0x2000});
  ASSERT_EQ(DecodePacket(Captured(first, 101), packet), PacketStatus::kOk);
  EXPECT_TRUE(packet.first_fragment);
  EXPECT_FALSE(packet.fragment);
  EXPECT_EQ(packet.destination_port, 6);
  EXPECT_EQ(packet.payload_bytes, 32U);

  const std::string second = Ipv4Packet(17, udp.substr(40), {.fragment = 0x0005});
  ASSERT_EQ(DecodePacket(Captured(second, 101), packet), PacketStatus::kOk);
  EXPECT_TRUE(packet.fragment);
  EXPECT_EQ(packet.destination_port, 0);
  EXPECT_EQ(packet.payload_bytes, 32U);

  const std::string v6 = Ipv6Packet(44, U8(17) + U8(0) + Be16(5 << 3) + Be32(7) + "rest");
  ASSERT_EQ(DecodePacket(Captured(v6, 101), packet), PacketStatus::kOk);
  EXPECT_TRUE(packet.fragment);
  EXPECT_EQ(packet.protocol, 17);
  EXPECT_EQ(packet.payload, "rest");

  const std::string v6_first =
      Ipv6Packet(44, U8(17) + U8(0) + Be16(1) + Be32(7) + udp.substr(0, 16));
  ASSERT_EQ(DecodePacket(Captured(v6_first, 101), packet), PacketStatus::kOk);
  EXPECT_TRUE(packet.first_fragment);
  EXPECT_EQ(packet.destination_port, 6);
}

TEST(PacketDecoderTest, ATinyFirstFragmentStillHasItsPorts) {
  const std::string bytes = Ipv4Packet(6, TcpSegment({}, "").substr(0, 8), {.fragment = 0x2000});
  Packet packet;
  ASSERT_EQ(DecodePacket(Captured(bytes, 101), packet), PacketStatus::kOk);
  EXPECT_EQ(packet.destination_port, 443);
  EXPECT_EQ(packet.payload_bytes, 0U);
}

TEST(PacketDecoderTest, LinkTypesHaveNames) {
  EXPECT_EQ(LinkTypeName(1), "EN10MB");
  EXPECT_EQ(LinkTypeName(276), "LINUX_SLL2");
  EXPECT_EQ(LinkTypeName(147), "link type 147");
  EXPECT_FALSE(LinkTypeKnown(147));
  EXPECT_FALSE(LinkTypeKnown(-1));
}

}  // namespace
}  // namespace culprit
