// SPDX-License-Identifier: Apache-2.0
// Bytes that leave without a socket hook, and the ledger that says whether anything was missed.
// Real traffic between namespaces of its own. Needs root (label bpf).
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip_icmp.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/bpf/live.h"
#include "tests/bpf/routed_net.h"

namespace culprit::testing {
namespace {

constexpr std::uint8_t kSyn = 2, kSynAck = 18;
constexpr std::size_t kEthernet = 14;

const std::uint32_t kMe = static_cast<std::uint32_t>(getpid());

// An IPv4 packet with no valid checksum: it need not arrive, only leave.
std::string IpPacket(const char* from, const char* to, std::uint8_t protocol,
                     const std::string& body) {
  std::string p(20, '\0');
  p[0] = 0x45;
  const std::uint16_t total = htons(static_cast<std::uint16_t>(20 + body.size()));
  std::memcpy(&p[2], &total, 2);
  p[8] = 64;
  p[9] = static_cast<char>(protocol);
  const in_addr_t source = inet_addr(from), destination = inet_addr(to);
  std::memcpy(&p[12], &source, 4);
  std::memcpy(&p[16], &destination, 4);
  return p + body;
}

std::string Ports(std::uint16_t from, std::uint16_t to) {
  const std::uint16_t ports[2] = {htons(from), htons(to)};
  return {reinterpret_cast<const char*>(ports), sizeof(ports)};
}

std::string TcpSegment(std::uint16_t to, std::uint8_t flags) {
  std::string tcp = Ports(40000, to) + std::string(16, '\0');
  tcp[12] = 0x50;
  tcp[13] = static_cast<char>(flags);
  return tcp;
}

std::string UdpDatagram(std::uint16_t to, std::size_t payload) {
  std::string udp = Ports(40000, to) + std::string(4, '\0');
  const std::uint16_t length = htons(static_cast<std::uint16_t>(8 + payload));
  std::memcpy(&udp[4], &length, 2);
  return udp + std::string(payload, 'x');
}

// An Ethernet frame to nobody's address.
std::string Frame(const std::string& packet) {
  return std::string("\x02\0\0\0\0\x09\x02\0\0\0\0\x08\x08\0", kEthernet) + packet;
}

UniqueFd PacketSocket(std::uint32_t ifindex, int type, bool bypass) {
  UniqueFd fd(socket(AF_PACKET, type | SOCK_CLOEXEC, 0));
  const int one = 1;
  if (bypass) {
    EXPECT_EQ(setsockopt(fd.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)), 0);
  }
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(ifindex);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  return fd;
}

void SendPacket(int fd, std::uint32_t ifindex, const std::string& bytes) {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ETH_P_IP);
  to.sll_ifindex = static_cast<int>(ifindex);
  to.sll_halen = 6;
  to.sll_addr[0] = 2;
  EXPECT_EQ(sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
            static_cast<ssize_t>(bytes.size()));
}

void SendRaw(int fd, const char* to, const std::string& packet) {
  const Address address = V4(to, 0);
  EXPECT_EQ(sendto(fd, packet.data(), packet.size(), 0, address.get(), address.length),
            static_cast<ssize_t>(packet.size()));
}

bool IsV4(const culprit_u8 (&bytes)[16], const char* address) {
  const in_addr_t want = inet_addr(address);
  return std::memcmp(bytes + 12, &want, 4) == 0;
}

const culprit_flow* Last(const Live& live, const std::function<bool(const culprit_flow&)>& is) {
  const auto found = std::find_if(live.flows.rbegin(), live.flows.rend(), is);
  return found == live.flows.rend() ? nullptr : &*found;
}

class PacketSocketTest : public ::testing::TestWithParam<int> {};

TEST_P(PacketSocketTest, FramesAreChargedToTheirSenderAndDestinationWithoutLinkHeader) {
  Live live;
  ASSERT_TRUE(live.ok());
  const RoutedNet net;
  const auto ifindex = net.Index('a', "va");
  net.In('a', [&] {
    const UniqueFd fd = PacketSocket(ifindex, GetParam(), false);
    const std::string packet =
        IpPacket("192.0.2.2", "203.0.113.9", IPPROTO_UDP, UdpDatagram(53, 72));
    for (int i = 0; i < 3; ++i)
      SendPacket(fd.get(), ifindex, GetParam() == SOCK_RAW ? Frame(packet) : packet);
  });
  const culprit_flow* flow = nullptr;
  ASSERT_TRUE(live.Until([&] {
    flow = Last(live, [](const culprit_flow& f) {
      return IsV4(f.remote, "203.0.113.9") && f.tx_packets == 3;
    });
    return flow != nullptr && live.Counters(kMe).has_value();
  }));
  EXPECT_EQ(flow->flags & (CULPRIT_FLOW_LINK | CULPRIT_FLOW_RAW),
            CULPRIT_FLOW_LINK | CULPRIT_FLOW_RAW);
  EXPECT_EQ(flow->owner.tgid, kMe);
  EXPECT_EQ(flow->remote_port, 53);
  EXPECT_EQ(int{flow->protocol}, IPPROTO_UDP);
  EXPECT_EQ(flow->tx_wire_bytes, 300U);
  EXPECT_EQ(flow->tx_payload_bytes, 216U);
  EXPECT_EQ(flow->tx_ifindex, ifindex);
  EXPECT_EQ(flow->netns, net.Netns('a'));
  EXPECT_TRUE(live.Until([&] { return live.Counters(kMe)->link_bytes >= 300; }));
  EXPECT_EQ(live.Counters(kMe)->link_bytes, 300U) << "counted once";
  EXPECT_EQ(live.Counters(kMe)->link_packets, 3U);
  EXPECT_EQ(live.Counters(kMe)->bare_syns, 0U);
}

// Who has used up his share of peers is still seen to go to many places.
TEST_P(PacketSocketTest, DestinationsBeyondTheShareOfPeersAreInTheSketch) {
  Live live;
  ASSERT_TRUE(live.ok());
  const RoutedNet net;
  const auto ifindex = net.Index('a', "va");
  UniqueFd fd;
  net.In('a', [&] { fd = PacketSocket(ifindex, GetParam(), false); });
  unsigned next = 0;  // a peer is an address and a port
  const auto send = [&](int count) {
    for (; count > 0; --count, ++next) {
      const std::string to = "203.0.113." + std::to_string(1 + next % 254);
      const auto port = static_cast<std::uint16_t>(1'000 + next / 254);
      const std::string packet =
          IpPacket("192.0.2.2", to.c_str(), IPPROTO_UDP, UdpDatagram(port, 72));
      SendPacket(fd.get(), ifindex, GetParam() == SOCK_RAW ? Frame(packet) : packet);
    }
  };
  send(4'000);
  const std::uint64_t spent = ToNs(ReadBootClock());
  EXPECT_TRUE(live.Until([&] {
    send(20);
    const auto counters = live.Counters(kMe);
    return counters && counters->window_boot_ns > spent &&
           std::count_if(std::begin(counters->address_registers),
                         std::end(counters->address_registers), [](auto r) { return r != 0; }) > 50;
  }));
}

TEST_P(PacketSocketTest, FramesPastTheQueueAreChargedByTheirLength) {
  Live live;
  ASSERT_TRUE(live.ok());
  if (live.source().fidelity().owner_mode != "last_sender") {
    SUCCEED() << "this kernel tells nobody of them; fidelity says so";
    return;
  }
  const RoutedNet net;
  const auto ifindex = net.Index('a', "va");
  net.In('a', [&] {
    const UniqueFd fd = PacketSocket(ifindex, GetParam(), true);
    const std::string packet =
        IpPacket("192.0.2.2", "203.0.113.9", IPPROTO_UDP, UdpDatagram(53, 72));
    for (int i = 0; i < 5; ++i)
      SendPacket(fd.get(), ifindex, GetParam() == SOCK_RAW ? Frame(packet) : packet);
  });
  EXPECT_TRUE(
      live.Until([&] { return live.Counters(kMe) && live.Counters(kMe)->link_bytes >= 500; }));
  EXPECT_EQ(live.Counters(kMe).value_or(culprit_counters{}).link_bytes, 500U);
  EXPECT_EQ(live.Counters(kMe).value_or(culprit_counters{}).link_packets, 5U);
  EXPECT_EQ(Ledger(net.Netns('a'), ifindex).tx.skb_bytes[CULPRIT_CLASS_PROCESS], 500U);
}
INSTANTIATE_TEST_SUITE_P(Types, PacketSocketTest, ::testing::Values(SOCK_RAW, SOCK_DGRAM),
                         [](const auto& param) {
                           return std::string(param.param == SOCK_RAW ? "raw" : "dgram");
                         });

TEST(Device, HandMadeSynsAreCounted) {
  Live live;
  ASSERT_TRUE(live.ok());
  const RoutedNet net;
  const auto ifindex = net.Index('a', "va");
  net.In('a', [&] {
    const UniqueFd link = PacketSocket(ifindex, SOCK_RAW, false);
    const UniqueFd raw(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    for (std::uint16_t port = 1; port <= 5; ++port) {
      SendPacket(link.get(), ifindex,
                 Frame(IpPacket("203.0.113.7", "198.51.100.2", 6, TcpSegment(port, kSyn))));
      SendRaw(raw.get(), "198.51.100.2",
              IpPacket("203.0.113.7", "198.51.100.2", 6, TcpSegment(port, kSyn)));
    }
    SendRaw(raw.get(), "198.51.100.2",
            IpPacket("203.0.113.7", "198.51.100.2", 6, TcpSegment(9, kSynAck)));
  });
  EXPECT_TRUE(live.Until([&] {
    return live.Counters(kMe) && live.Counters(kMe)->raw_packets == 6 &&
           live.Counters(kMe)->link_packets == 5;
  }));
  const auto c = live.Counters(kMe).value_or(culprit_counters{});
  EXPECT_EQ(c.bare_syns, 10U);
  EXPECT_EQ(c.raw_bytes, 6 * 40U);
  EXPECT_EQ(c.link_bytes, 5 * 40U);
  EXPECT_EQ(c.tcp_attempts, 0U);
}

void SendUdp(const RoutedNet& net, std::size_t payload, int times) {
  net.In('a', [&] {
    const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Address to = V4("198.51.100.2", 5353), from = V4("192.0.2.2", 40001);
    ASSERT_EQ(bind(fd.get(), from.get(), from.length), 0);
    const std::string data = Pattern(payload);
    for (int i = 0; i < times; ++i)
      ASSERT_EQ(sendto(fd.get(), data.data(), payload, 0, to.get(), to.length),
                static_cast<ssize_t>(payload));
  });
}

class ForwardTest : public ::testing::TestWithParam<bool> {};

TEST_P(ForwardTest, ARouterTellsOfFlowsAsTheyLeave) {
  Live live;
  ASSERT_TRUE(live.ok());
  const RoutedNet net;
  if (GetParam()) {
    net.Run('r',
            "nft add table ip t && nft \"add chain ip t c { type nat hook postrouting priority "
            "100 ; }\" && nft add rule ip t c oifname rb masquerade");
  }
  SendUdp(net, 472, 7);
  const culprit_flow* flow = nullptr;
  ASSERT_TRUE(live.Until([&] {
    flow = Last(live, [&](const culprit_flow& f) {
      return f.direction == CULPRIT_DIRECTION_FORWARDED && f.netns == net.Netns('r') &&
             f.remote_port == 5353 && f.tx_packets == 7;
    });
    return flow != nullptr;
  }));
  EXPECT_TRUE(IsV4(flow->local, GetParam() ? "198.51.100.1" : "192.0.2.2"));
  EXPECT_TRUE(IsV4(flow->remote, "198.51.100.2"));
  EXPECT_EQ(flow->local_port, 40001);
  EXPECT_EQ(flow->rx_ifindex, net.Index('r', "ra"));
  EXPECT_EQ(flow->tx_ifindex, net.Index('r', "rb"));
  EXPECT_EQ(flow->tx_wire_bytes, 7 * 500U);
  EXPECT_EQ(flow->rx_wire_bytes, 0U);
  EXPECT_EQ(flow->owner.tgid, 0U);
  EXPECT_NE(flow->cookie >> 63, 0U);
}
INSTANTIATE_TEST_SUITE_P(Nat, ForwardTest, ::testing::Bool(), [](const auto& param) {
  return std::string(param.param ? "masqueraded" : "routed");
});

TEST(Device, TheSameTupleInTwoNamespacesIsTwoFlows) {
  Live live;
  ASSERT_TRUE(live.ok());
  const RoutedNet one, two;
  SendUdp(one, 100, 2);
  SendUdp(two, 100, 3);
  const auto of = [&](const RoutedNet& net) {
    return Last(live, [&](const culprit_flow& f) {
      return f.direction == CULPRIT_DIRECTION_FORWARDED && f.netns == net.Netns('r') &&
             f.remote_port == 5353;
    });
  };
  ASSERT_TRUE(live.Until([&] {
    return of(one) != nullptr && of(two) != nullptr && of(one)->tx_packets == 2 &&
           of(two)->tx_packets == 3;
  }));
  EXPECT_NE(of(one)->cookie, of(two)->cookie);
}

void Ping(int type) {
  const UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, IPPROTO_ICMP));
  ASSERT_TRUE(fd);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  echo.un.echo.id = htons(7);
  // The checksum of a header with nothing but type 8 and id 7; a ping socket makes its own.
  echo.checksum = htons(static_cast<std::uint16_t>(~(0x0800 + 7)));
  const Address to = V4("192.0.2.1", 0);
  ASSERT_EQ(sendto(fd.get(), &echo, sizeof(echo), 0, to.get(), to.length), 8);
  timeval wait{5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  char answer[64];
  EXPECT_GT(recv(fd.get(), answer, sizeof(answer), 0), 0);
}

void Refused(const char* address) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address to = V4(address, 9);
  EXPECT_EQ(connect(fd.get(), to.get(), to.length), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST(Device, AnswersOfTheKernelAreTheKernels) {
  Live live;
  ASSERT_TRUE(live.ok());
  const RoutedNet net;
  net.Run('r', "sysctl -qw net.ipv6.conf.ra.disable_ipv6=1");
  net.Run('a', "sysctl -qw net.ipv6.conf.va.disable_ipv6=1 net.ipv4.ping_group_range=\"0 0\"");
  net.In('a', [] {
    Ping(SOCK_RAW);
    Ping(SOCK_DGRAM);
    Refused("192.0.2.1");
  });
  // Two echo replies, a reset, and what ARP and the start of the link took.
  const auto answers = [&] { return Ledger(net.Netns('r'), net.Index('r', "ra")); };
  EXPECT_TRUE(
      live.Until([&] { return answers().tx.skb_bytes[CULPRIT_CLASS_KERNEL] >= 28 * 2 + 40 + 28; }));
  EXPECT_EQ(answers().tx.skb_bytes[CULPRIT_CLASS_PROCESS], 0U);
  EXPECT_EQ(answers().tx.skb_bytes[CULPRIT_CLASS_UNKNOWN], 0U);
  const auto asked = [&] { return Ledger(net.Netns('a'), net.Index('a', "va")); };
  EXPECT_TRUE(live.Until([&] {
    return asked().tx.skb_bytes[CULPRIT_CLASS_PROCESS] == 28 * 2 + 60;
  })) << asked().tx.skb_bytes[CULPRIT_CLASS_PROCESS];
}

// TCP from a to b and back, both ends in this process.
void Stream(const RoutedNet& net, std::size_t up, std::size_t down) {
  UniqueFd listener, client, server;
  const Address to = V4("198.51.100.2", 8080);
  net.In('b', [&] {
    listener.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener.get(), to.get(), to.length), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
  });
  net.In('a', [&] {
    client.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(client.get(), to.get(), to.length), 0);
  });
  server.Reset(accept(listener.get(), nullptr, nullptr));
  Child sender([&] { return SendAll(client.get(), up) ? 0 : 1; });
  EXPECT_EQ(ReceiveAll(server.get(), up), up);
  EXPECT_EQ(sender.Wait(), 0);
  EXPECT_TRUE(SendAll(server.get(), down));
  EXPECT_EQ(ReceiveAll(client.get(), down), down);
}

TEST(Device, TheLedgerAddsUpToTheInterfacesOwnCounters) {
  Live live;
  ASSERT_TRUE(live.ok());
  const RoutedNet net;
  const auto va = net.Index('a', "va");
  Stream(net, 3'000'000, 20'001);
  UniqueFd receiver;
  net.In('b', [&] {
    receiver.Reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Address at = V4("198.51.100.2", 5353);
    ASSERT_EQ(bind(receiver.get(), at.get(), at.length), 0);
  });
  SendUdp(net, 1200, 50);
  net.In('a', [&] {
    Ping(SOCK_RAW);
    Refused("192.0.2.1");
    Refused("198.51.100.2");
    const UniqueFd raw(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    const UniqueFd link = PacketSocket(va, SOCK_RAW, false),
                   bypass = PacketSocket(va, SOCK_RAW, true);
    const std::string syn = IpPacket("203.0.113.7", "198.51.100.2", 6, TcpSegment(9, kSyn));
    for (int i = 0; i < 20; ++i) {
      SendRaw(raw.get(), "198.51.100.2", syn);
      SendPacket(link.get(), va, Frame(syn));
      if (live.source().fidelity().owner_mode == "last_sender")
        SendPacket(bypass.get(), va, Frame(syn));
    }
  });
  const struct {
    char which;
    const char* device;
  } all[] = {{'a', "va"}, {'r', "ra"}, {'r', "rb"}, {'b', "vb"}};
  for (const auto& [which, device] : all) {
    const auto ledger = [&, w = which, d = device] {
      return Ledger(net.Netns(w), net.Index(w, d));
    };
    std::uint64_t counted = 0, passed = 0;
    EXPECT_TRUE(live.Until([&, w = which, d = device] {
      const DeviceCounters c = net.Counters(w, d);
      passed = c.tx_bytes - c.tx_packets * kEthernet;
      counted = Sum(ledger().tx.skb_bytes);
      return counted == passed;
    })) << device
        << ": counted " << counted << " of " << passed;
    EXPECT_STREQ(ledger().name, device);
    EXPECT_EQ(ledger().header_len, kEthernet);
    EXPECT_EQ(ledger().hardware, 0U);
    EXPECT_EQ(ledger().tx.skb_bytes[CULPRIT_CLASS_UNKNOWN], 0U);
  }
  const culprit_interface nowhere = Ledger(0, 0);
  EXPECT_EQ(Sum(nowhere.tx.skb_bytes) + Sum(nowhere.rx.skb_bytes), 0U)
      << "a handshake that moved to its accepted socket is charged once";
  const auto router = Ledger(net.Netns('r'), net.Index('r', "rb"));
  EXPECT_GT(router.tx.skb_bytes[CULPRIT_CLASS_FORWARDED], 3'000'000U);
  // What comes in for no socket (ARP, ND, echo requests, the SYNs for closed ports) is in no class.
  const auto client = Ledger(net.Netns('a'), va);
  const DeviceCounters c = net.Counters('a', "va");
  EXPECT_LE(Sum(client.rx.skb_bytes), c.rx_bytes - c.rx_packets * kEthernet);
  EXPECT_GT(Sum(client.rx.skb_bytes) + 2000, c.rx_bytes - c.rx_packets * kEthernet);
}

}  // namespace
}  // namespace culprit::testing
