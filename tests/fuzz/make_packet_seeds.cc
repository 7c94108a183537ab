// SPDX-License-Identifier: Apache-2.0
// Writes the seed corpora of fuzz_packet and fuzz_names: make_packet_seeds tests/fuzz/corpus
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/payload_builder.h"

namespace culprit::testing {
namespace {

using Seeds = std::vector<std::pair<std::string, std::string>>;

std::string Link(unsigned link_type, std::string_view packet) {
  return Le16(link_type) + Le16(0) + std::string(packet);
}
std::string Ip(std::string_view packet) { return Link(101, packet); }
std::string Datagram(unsigned port, std::string_view payload) {
  return Ip(Ipv4Packet(17, UdpDatagram(50'000, port, payload)));
}
std::string Gre(unsigned flags, unsigned protocol, std::string_view rest) {
  return Ip(Ipv4Packet(47, Be16(flags) + Be16(protocol) + std::string(rest)));
}

Seeds PacketSeeds() {
  const std::string v4 = Ipv4Packet(6, TcpSegment({}, "hello"));
  const std::string v6 = Ipv6Packet(17, UdpDatagram(1, 2, "hello"));
  const std::string frame = EthernetFrame(kEtherIpv4, v4);
  const std::string snap = std::string("\xaa\xaa\x03\0\0\0", 6) + Be16(kEtherIpv4) + v4;
  const std::string wifi = std::string("\x08\x01", 2) + Zeros(22) + snap;
  const std::string pppoe = std::string("\x11\0\0\x05", 4) + Counted16(Be16(0x21) + v4);
  const std::string vni = Be24(77) + U8(0);
  return {
      {"ethernet", Link(1, frame)},
      {"vlan", Link(1, EthernetFrame(0x88a8, VlanTag(7, 0x8100, VlanTag(8, kEtherIpv6, v6))))},
      {"llc", Link(1, EthernetFrame(static_cast<unsigned>(snap.size()), snap))},
      {"pppoe", Link(1, EthernetFrame(0x8864, pppoe))},
      {"mpls", Link(1, EthernetFrame(0x8847, Be32(0x140) + Be32(0) + frame))},
      {"null", Link(0, Le32(2) + v4)},
      {"ppp", Link(9, "\xff\x03" + Be16(0x57) + v6)},
      {"hdlc", Link(50, std::string("\x0f\0", 2) + Be16(kEtherIpv4) + v4)},
      {"sll", Link(113, Zeros(14) + Be16(kEtherIpv6) + v6)},
      {"sll2", Link(276, Be16(kEtherIpv4) + Zeros(18) + v4)},
      {"wifi", Link(105, wifi)},
      {"prism", Link(119, Le32(0x44) + Le32(16) + Zeros(8) + wifi)},
      {"radiotap",
       Link(127, std::string("\0\0", 2) + Le16(18) + Le32(3) + Zeros(8) + "\x20" + U8(0) + wifi)},
      {"nflog",
       Link(239, "\x02" + Zeros(3) + Le16(static_cast<unsigned>(4 + v4.size())) + Le16(9) + v4)},
      {"fragment", Ip(Ipv4Packet(17, UdpDatagram(1, 2, "abc"), {.fragment = 0x2000}))},
      {"extensions",
       Ip(Ipv6Packet(
           0, Ipv6Extension(43, Ipv6Extension(44, U8(51) + Zeros(7) + U8(17) + U8(1) + Zeros(10) +
                                                      UdpDatagram(1, 2, "")))))},
      {"icmp", Ip(Ipv4Packet(1, U8(3) + U8(1) + Zeros(6) + v4))},
      {"sctp", Ip(Ipv4Packet(132, Be16(5) + Be16(6) + Zeros(8)))},
      {"ipip", Ip(Ipv4Packet(41, Ipv6Packet(4, v4)))},
      {"gre", Gre(0xb000, kEtherIpv4, Zeros(12) + v4)},
      {"pptp", Gre(0x3081, 0x880b, Zeros(12) + Be16(0x21) + v4)},
      {"erspan2", Gre(0x1000, 0x88be, Zeros(12) + frame)},
      {"erspan3", Gre(0x1000, 0x22eb, Zeros(4) + Zeros(11) + U8(1) + Zeros(8) + frame)},
      {"wccp", Gre(0, 0x883e, Be32(1) + v4)},
      {"vxlan", Datagram(4789, std::string("\x08\0\0\0", 4) + vni + frame)},
      {"geneve", Datagram(6081, "\x01" + U8(0) + Be16(0x6558) + vni + Zeros(4) + frame)},
      {"gtp",
       Datagram(2152, "\x34\xff" + Be16(0) + Be32(7) + Zeros(3) + "\x85\x01" + Zeros(3) + v4)},
      {"teredo", Datagram(3544, Be16(1) + Zeros(11) + Zeros(8) + v6)},
  };
}

std::string Segment(unsigned what, unsigned flags, unsigned seq, std::string_view bytes) {
  return U8(what) + U8(flags) + Be16(seq) + Counted16(bytes);
}

Seeds NameSeeds() {
  const std::string answer = DnsHeader(0x8180, 1, 2) + DnsName("a.example") + Be16(1) + Be16(1) +
                             DnsRecord("\xc0\x0c", 5,
                                       "\x01"
                                       "b\xc0\x0e") +
                             DnsRecord("\xc0\x0c", 1, AddressBytes("192.0.2.7"));
  const std::string hello = ClientHello("a.example", {"h2", "http/1.1"});
  const std::string tls = TlsRecord(hello);
  const std::string get = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
  const std::string socks5 = std::string("\x05\x01\x02\x01\x01u\x01p\x05\x01\0\x03", 12) +
                             Counted8("a.example") + Be16(443);
  const std::string initial = QuicInitial(CryptoFrame(0, hello), {.payload_size = 200});
  const std::string dns = Counted16(DnsQuery("a.example"));
  const auto half = hello.size() / 2;
  const std::string subscribe = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"m/1\"]}\n";
  const std::string authorize =
      "{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"W.1\\u0041\",\"x\"]}\n";
  return {
      {"dns_query", U8(0) + DnsQuery("a.example")},
      {"dns_answer", U8(0) + answer},
      {"tls", U8(1) + TlsRecord(hello.substr(0, 50)) + TlsRecord(hello.substr(50))},
      {"hello", U8(2) + hello},
      {"http", U8(3) + get},
      {"http_absolute", U8(3) + "GET http://u@a.example:80/x HTTP/1.1\r\n\r\n"},
      {"http_connect", U8(3) + "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n"},
      {"socks4a", U8(4) + "\x04\x01" + Be16(80) + Be32(1) + "u" + U8(0) + "a.example" + U8(0)},
      {"socks5", U8(4) + socks5},
      {"quic", U8(5) + initial + initial},
      {"quic_frames", U8(6) + CryptoFrame(half, hello.substr(half)) + "\x02" + Zeros(4) +
                          CryptoFrame(0, hello.substr(0, half))},
      {"stream_tls", U8(7) + Segment(7, 2, 9, "") + Segment(7, 16, 40, tls.substr(30)) +
                         Segment(7, 16, 10, tls.substr(0, 35))},
      {"stream_dns", U8(7) + Segment(3, 16, 10, dns + dns.substr(0, 5)) +
                         Segment(3, 17, static_cast<unsigned>(15 + dns.size()), dns.substr(5))},
      {"stream_proxy", U8(7) + Segment(15, 16, 10, socks5) +
                           Segment(15, 24, static_cast<unsigned>(10 + socks5.size()), tls)},
      {"stratum", U8(8) + subscribe + authorize},
      {"stratum_login",
       U8(8) + "{\"method\":\"login\",\"params\":{\"login\":\"4Ab\",\"pass\":\"x\",\"agent\":\"m\"}}\r\n"},
      {"stratum_ether", U8(8) + "{\"method\":\"eth_submitLogin\",\"params\":[\"0xA\"]}\n"},
      {"stratum_work",
       U8(8) + "{\"method\":\"submit\",\"params\":{\"job_id\":\"a\",\"nonce\":\"b\",\"result\":[[{}]]}}\n"},
      {"stream_stratum",
       U8(7) + Segment(15, 16, 10, subscribe) +
           Segment(15, 25, static_cast<unsigned>(10 + subscribe.size()), authorize)},
      {"datagrams", U8(7) + Segment(2, 0, 0, DnsQuery("a.example")) +
                        Segment(6, 0, 0, QuicInitial(CryptoFrame(0, hello)))},
  };
}

void Write(const std::string& folder, const Seeds& seeds) {
  for (const auto& [name, bytes] : seeds) {
    std::ofstream(std::filesystem::path(folder) / name, std::ios::binary) << bytes;
  }
}

}  // namespace
}  // namespace culprit::testing

int main(int argc, char** argv) {
  using namespace culprit::testing;
  if (argc != 2) {
    std::cerr << "usage: make_packet_seeds FOLDER\n";
    return 2;
  }
  Write(std::string(argv[1]) + "/fuzz_packet", PacketSeeds());
  Write(std::string(argv[1]) + "/fuzz_names", NameSeeds());
  return 0;
}
