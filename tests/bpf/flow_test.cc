// SPDX-License-Identifier: Apache-2.0
// What the kernel programs say about real sockets on loopback. Needs root (label bpf).
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include "tests/bpf/live.h"

namespace culprit::testing {
namespace {

constexpr std::size_t kUp = 300'000, kDown = 7'001;

struct Case {
  const char* name;
  int family;
  bool mapped;
};
class TcpTest : public ::testing::TestWithParam<Case> {};

struct Pair {
  UniqueFd listener, client, server;
};
Pair Connect(int family = AF_INET, bool mapped = false) {
  Pair pair;
  pair.listener = Bound(family, SOCK_STREAM, mapped);
  EXPECT_EQ(listen(pair.listener.get(), 8), 0);
  const Address to = Local(pair.listener.get());
  pair.client.Reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(pair.client.get(), to.get(), to.length), 0);
  pair.server.Reset(accept(pair.listener.get(), nullptr, nullptr));
  return pair;
}

bool KernelBefore(int major, int minor) {
  utsname name{};
  int have_major = 0, have_minor = 0;
  EXPECT_EQ(uname(&name), 0);
  EXPECT_EQ(std::sscanf(name.release, "%d.%d", &have_major, &have_minor), 2);
  return std::pair(have_major, have_minor) < std::pair(major, minor);
}

void CloseInOrder(Pair& pair) {
  shutdown(pair.client.get(), SHUT_WR);
  EXPECT_EQ(ReceiveAll(pair.server.get(), 1), 0U);
  pair.server.Reset();
  EXPECT_EQ(ReceiveAll(pair.client.get(), 1), 0U);
  pair.client.Reset();
}

TEST_P(TcpTest, BothEndsAgreeOnPayloadAndWireBytes) {
  Live live;
  ASSERT_TRUE(live.ok());
  Pair pair = Connect(GetParam().family, GetParam().mapped);
  const auto active = Cookie(pair.client.get()), passive = Cookie(pair.server.get());
  const auto listening = Cookie(pair.listener.get());
  Child sender([&] { return SendAll(pair.client.get(), kUp) ? 0 : 1; });
  ASSERT_EQ(ReceiveAll(pair.server.get(), kUp), kUp);
  ASSERT_EQ(sender.Wait(), 0);
  ASSERT_TRUE(SendAll(pair.server.get(), kDown));
  ASSERT_EQ(ReceiveAll(pair.client.get(), kDown), kDown);
  CloseInOrder(pair);
  const auto out = live.Await(active, CULPRIT_FLOW_END), in = live.Await(passive, CULPRIT_FLOW_END);
  EXPECT_EQ(out.tx_payload_bytes, kUp);
  EXPECT_EQ(out.rx_payload_bytes, kDown);
  EXPECT_EQ(in.rx_payload_bytes, kUp);
  EXPECT_EQ(in.tx_payload_bytes, kDown);
  EXPECT_EQ(out.tx_wire_bytes, in.rx_wire_bytes) << live.Text(active) << live.Text(passive);
  // Before 6.6 the egress hook is not called for the SYN-ACK of an IPv6 request.
  const bool unseen = int{out.family} == 6 && KernelBefore(6, 6);
  EXPECT_EQ(out.rx_wire_bytes, in.tx_wire_bytes + (unseen ? 80U : 0U));
  EXPECT_EQ(out.rx_packets, in.tx_packets + (unseen ? 1U : 0U));
  EXPECT_EQ(out.tx_packets, in.rx_packets);
  EXPECT_EQ(out.direction, CULPRIT_DIRECTION_OUT);
  EXPECT_EQ(in.direction, CULPRIT_DIRECTION_IN);
  EXPECT_EQ(out.local_port, in.remote_port);
  EXPECT_EQ(int{out.family}, GetParam().family == AF_INET || GetParam().mapped ? 4 : 6);
  EXPECT_EQ(out.creator.tgid, static_cast<std::uint32_t>(getpid()));
  EXPECT_NE(out.established_boot_ns, 0U);
  pair.listener.Reset();
  const auto listener = live.Await(listening, CULPRIT_FLOW_END);
  EXPECT_EQ(listener.tx_wire_bytes, 0U) << "the handshake belongs to the accepted flow";
  EXPECT_EQ(listener.rx_wire_bytes, 0U);
}
INSTANTIATE_TEST_SUITE_P(Families, TcpTest,
                         ::testing::Values(Case{"v4", AF_INET, false}, Case{"v6", AF_INET6, false},
                                           Case{"mapped", AF_INET6, true}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Tcp, RefusedConnectHasItsErrnoAndAReconnectIsANewGeneration) {
  Live live;
  ASSERT_TRUE(live.ok());
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address to = Loopback(AF_INET, 1);
  const auto cookie = Cookie(fd.get());
  for (std::uint32_t generation = 0; generation < 3; ++generation) {
    ASSERT_EQ(connect(fd.get(), to.get(), to.length), -1);
    ASSERT_EQ(errno, ECONNREFUSED);
    const auto flow = live.Await(cookie, CULPRIT_FLOW_FAILED, generation);
    EXPECT_EQ(flow.error, ECONNREFUSED);
    EXPECT_EQ(flow.remote_port, 1);
    EXPECT_EQ(flow.owner.tgid, static_cast<std::uint32_t>(getpid()));
    EXPECT_EQ(flow.tx_wire_bytes, 60U) << "counters begin anew";
    EXPECT_EQ(flow.rx_packets, 1U);
  }
}

TEST(Tcp, TheEndOfALargeFlowIsToldEvenIfTheRingWasFull) {
  constexpr std::size_t kBytes = 200'000;
  Live live;
  ASSERT_TRUE(live.ok());
  const UniqueFd listener = Bound(AF_INET, SOCK_STREAM);
  ASSERT_EQ(listen(listener.get(), 16), 0);
  const Address to = Local(listener.get());
  std::uint64_t cookie = 0;
  {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    cookie = Cookie(fd.get());
    ASSERT_EQ(connect(fd.get(), to.get(), to.length), 0);
    const UniqueFd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    // Nobody reads the ring: its megabyte is full of beginnings and ends long before the last.
    for (int n = 0; n < 3000; ++n) {
      const UniqueFd small(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(connect(small.get(), to.get(), to.length), 0);
      const UniqueFd other(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    Child sender([&] { return SendAll(fd.get(), kBytes) ? 0 : 1; });
    ASSERT_EQ(ReceiveAll(accepted.get(), kBytes), kBytes);
    ASSERT_EQ(sender.Wait(), 0);
  }
  const auto end = live.Await(cookie, CULPRIT_FLOW_END);
  EXPECT_GT(live.lost.stat[CULPRIT_STAT_RING_FULL_FLOW], 0U);
  EXPECT_EQ(end.tx_payload_bytes, kBytes);
  EXPECT_GT(end.tx_wire_bytes, kBytes);
}

TEST(Tcp, CountersAreExactInABurstAndRecordsAreLimited) {
  constexpr std::uint64_t kAttempts = 5000;
  Live live;
  ASSERT_TRUE(live.ok());
  Child scanner([] {
    const Address to = Loopback(AF_INET, 1);
    for (std::uint64_t i = 0; i < kAttempts; ++i) {
      const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (connect(fd.get(), to.get(), to.length) == 0) return 1;
    }
    return 0;
  });
  const auto pid = static_cast<std::uint32_t>(scanner.pid());
  EXPECT_EQ(scanner.Wait(), 0);
  EXPECT_TRUE(live.Until([&] {
    const auto c = live.Counters(pid);
    return c && c->outcome[CULPRIT_OUTCOME_REFUSED] == kAttempts;
  }));
  const auto c = live.Counters(pid).value_or(culprit_counters{});
  EXPECT_EQ(c.tcp_attempts, kAttempts);
  EXPECT_EQ(c.tx_wire_bytes, kAttempts * 60);
  EXPECT_EQ(c.rx_wire_bytes, kAttempts * 40);
  std::uint64_t told = 0;
  for (const auto& flow : live.flows) {
    told += flow.owner.tgid == pid && flow.reason == CULPRIT_FLOW_FAILED ? 1U : 0U;
  }
  // Where the burst takes long, the ring, which nobody reads meanwhile, is full: that is counted.
  EXPECT_LE(told + c.suppressed_flows, kAttempts);
  EXPECT_GE(told + c.suppressed_flows + live.lost.stat[CULPRIT_STAT_RING_FULL_FLOW], kAttempts);
  EXPECT_GT(c.suppressed_flows, 0U);
}

TEST(Tcp, ASocketOlderThanTheSourceHasItsOwnerAndItsWholeLife) {
  Pair pair = Connect();
  ASSERT_TRUE(SendAll(pair.client.get(), 1000));
  ASSERT_EQ(ReceiveAll(pair.server.get(), 1000), 1000U);
  const auto cookie = Cookie(pair.client.get()), listening = Cookie(pair.listener.get());
  Live live;
  ASSERT_TRUE(live.ok());
  const auto found = live.Await(cookie, CULPRIT_FLOW_SNAPSHOT);
  EXPECT_EQ(found.owner.tgid, static_cast<std::uint32_t>(getpid()));
  EXPECT_TRUE(found.flags & CULPRIT_FLOW_PREEXISTING);
  EXPECT_EQ(live.Await(listening, CULPRIT_FLOW_SNAPSHOT).direction, CULPRIT_DIRECTION_LISTEN);
  ASSERT_TRUE(SendAll(pair.client.get(), 500));
  ASSERT_EQ(ReceiveAll(pair.server.get(), 500), 500U);
  CloseInOrder(pair);
  const auto end = live.Await(cookie, CULPRIT_FLOW_END);
  EXPECT_EQ(end.tx_payload_bytes, 1500U);
  EXPECT_TRUE(end.flags & CULPRIT_FLOW_REREAD);
  EXPECT_GE(end.tx_wire_bytes, 60U + 52 + 1052 + 552 + 52);  // SYN, ACK, data, FIN
  EXPECT_LE(end.tx_wire_bytes, 60U + 52 + 1052 + 552 + 52 + 3 * 52);
}

TEST(Tcp, AForkedSenderIsChargedFromItsFirstSendOn) {
  Live live;
  ASSERT_TRUE(live.ok());
  if (live.source().fidelity().owner_mode != "last_sender") {
    SUCCEED() << "this kernel cannot tell senders apart; fidelity says so";
    return;
  }
  Pair pair = Connect();
  const auto cookie = Cookie(pair.client.get());
  ASSERT_TRUE(SendAll(pair.client.get(), 111));
  Child child([&] { return SendAll(pair.client.get(), 222) ? 0 : 1; });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  ASSERT_EQ(child.Wait(), 0);
  const auto change = live.Await(cookie, CULPRIT_FLOW_OWNER);
  EXPECT_EQ(change.owner.tgid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(change.tx_payload_bytes, 111U);
  ASSERT_EQ(ReceiveAll(pair.server.get(), 333), 333U);
  CloseInOrder(pair);
  const auto end = live.Await(cookie, CULPRIT_FLOW_END);
  EXPECT_EQ(end.owner.tgid, pid);
  EXPECT_EQ(end.tx_payload_bytes, 333U);
  EXPECT_EQ(end.n_senders, 2U);
}

TEST(Tcp, ProcessesThatShareAPortAreToldApart) {
  Live live;
  ASSERT_TRUE(live.ok());
  const UniqueFd reserved = Bound(AF_INET, SOCK_STREAM, false, true);
  const Address to = Local(reserved.get());
  const std::uint16_t port = ntohs(reinterpret_cast<const sockaddr_in*>(&to.storage)->sin_port);
  const auto serve = [port] {
    const UniqueFd fd = Bound(AF_INET, SOCK_STREAM, false, true, port);
    if (listen(fd.get(), 64) != 0) return 1;
    for (;;) {  // until no connection comes for a second
      pollfd wait{fd.get(), POLLIN, 0};
      if (poll(&wait, 1, 1500) <= 0) return 0;
      const UniqueFd got(accept(fd.get(), nullptr, nullptr));
      if (!SendAll(got.get(), 10)) return 1;
    }
  };
  Child one(serve), two(serve);
  const auto listens = [&](pid_t pid) {
    return live.Until([&, pid] {
      for (const auto& flow : live.flows) {
        if (flow.direction == CULPRIT_DIRECTION_LISTEN &&
            flow.owner.tgid == static_cast<std::uint32_t>(pid))
          return true;
      }
      return false;
    });
  };
  ASSERT_TRUE(listens(one.pid()) && listens(two.pid()));
  for (int i = 0; i < 40; ++i) {
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(fd.get(), to.get(), to.length), 0);
    ASSERT_EQ(ReceiveAll(fd.get(), 10), 10U);
  }
  const auto first = static_cast<std::uint32_t>(one.pid()),
             second = static_cast<std::uint32_t>(two.pid());
  std::uint64_t by_first = 0, by_second = 0;
  EXPECT_TRUE(live.Until([&] {
    by_first = by_second = 0;
    for (const auto& flow : live.flows) {
      if (flow.reason != CULPRIT_FLOW_END || flow.direction != CULPRIT_DIRECTION_IN) continue;
      by_first += flow.owner.tgid == first ? flow.tx_payload_bytes : 0;
      by_second += flow.owner.tgid == second ? flow.tx_payload_bytes : 0;
    }
    return by_first + by_second == 400;
  })) << by_first
      << " " << by_second;
  EXPECT_GT(by_first, 0U);
  EXPECT_GT(by_second, 0U);
}

class UdpTest : public ::testing::TestWithParam<Case> {};

TEST_P(UdpTest, UnconnectedPeersAreFlowsOfTheirOwn) {
  Live live;
  ASSERT_TRUE(live.ok());
  const auto& c = GetParam();
  UniqueFd from = Bound(c.family, SOCK_DGRAM, c.mapped);
  const auto cookie = Cookie(from.get());
  constexpr std::size_t kPeers = 5;
  std::vector<UniqueFd> peers;
  for (std::size_t i = 0; i < kPeers; ++i) {
    peers.push_back(Bound(c.family, SOCK_DGRAM, c.mapped));
    const Address to = Local(peers.back().get());
    const std::string data = Pattern(100 + i);
    for (int n = 0; n < 3; ++n) {
      ASSERT_EQ(sendto(from.get(), data.data(), data.size(), 0, to.get(), to.length),
                static_cast<ssize_t>(data.size()));
    }
  }
  from.Reset();
  std::size_t ended = 0;
  EXPECT_TRUE(live.Until([&] {
    ended = 0;
    for (const auto& flow : live.flows) {
      ended += flow.cookie == cookie && flow.reason == CULPRIT_FLOW_END ? 1U : 0U;
    }
    return ended == kPeers;
  })) << live.Text(cookie);
  const std::size_t header = c.family == AF_INET || c.mapped ? 28 : 48;
  for (std::size_t i = 0; i < kPeers; ++i) {
    const Address to = Local(peers[i].get());
    const auto port = ntohs(reinterpret_cast<const sockaddr_in*>(&to.storage)->sin_port);
    for (const auto& flow : live.flows) {
      if (flow.cookie != cookie || flow.reason != CULPRIT_FLOW_END || flow.remote_port != port)
        continue;
      EXPECT_EQ(flow.tx_payload_bytes, 3 * (100 + i));
      EXPECT_EQ(flow.tx_wire_bytes, 3 * (100 + i + header));
      EXPECT_EQ(flow.owner.tgid, static_cast<std::uint32_t>(getpid()));
    }
  }
}

TEST_P(UdpTest, AConnectedSocketIsOneFlowWithExactPayload) {
  Live live;
  ASSERT_TRUE(live.ok());
  const auto& c = GetParam();
  const UniqueFd peer = Bound(c.family, SOCK_DGRAM, c.mapped);
  UniqueFd fd = Bound(c.family, SOCK_DGRAM, c.mapped);
  const Address to = Local(peer.get()), me = Local(fd.get());
  ASSERT_EQ(connect(fd.get(), to.get(), to.length), 0);
  const auto cookie = Cookie(fd.get());
  ASSERT_TRUE(SendAll(fd.get(), 1000));
  const std::string answer = Pattern(2500);
  ASSERT_EQ(sendto(peer.get(), answer.data(), answer.size(), 0, me.get(), me.length), 2500);
  fd.Reset();
  const auto end = live.Await(cookie, CULPRIT_FLOW_END);
  EXPECT_EQ(end.tx_payload_bytes, 1000U) << live.Text(cookie);
  EXPECT_EQ(end.rx_payload_bytes, 2500U);
  EXPECT_EQ(end.flags & CULPRIT_FLOW_PEER, 0U);
}
INSTANTIATE_TEST_SUITE_P(Families, UdpTest,
                         ::testing::Values(Case{"v4", AF_INET, false}, Case{"v6", AF_INET6, false},
                                           Case{"mapped", AF_INET6, true}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Udp, AForkedSenderIsChargedWithItsOwnDatagrams) {
  Live live;
  ASSERT_TRUE(live.ok());
  const UniqueFd peer = Bound(AF_INET, SOCK_DGRAM);
  const Address to = Local(peer.get());
  const bool can_tell = live.source().fidelity().owner_mode == "last_sender";
  UniqueFd fd = Bound(AF_INET, SOCK_DGRAM);
  const auto cookie = Cookie(fd.get());
  const auto send_to_peer = [&](std::size_t n) {
    const std::string data = Pattern(n);
    return sendto(fd.get(), data.data(), n, 0, to.get(), to.length) == static_cast<ssize_t>(n) ? 0
                                                                                               : 1;
  };
  ASSERT_EQ(send_to_peer(100), 0);
  Child child([&] { return send_to_peer(50); });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  ASSERT_EQ(child.Wait(), 0);
  const auto change = live.Await(cookie, CULPRIT_FLOW_OWNER);
  EXPECT_EQ(change.owner.tgid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(change.tx_payload_bytes, 100U) << (can_tell ? "by sock_send_length" : "by sendmsg4");
  fd.Reset();
  const auto end = live.Await(cookie, CULPRIT_FLOW_END);
  EXPECT_EQ(end.owner.tgid, pid);
  EXPECT_EQ(end.tx_payload_bytes, 150U);
  EXPECT_EQ(live.Counters(pid).value_or(culprit_counters{}).tx_wire_bytes, 78U);
}

}  // namespace
}  // namespace culprit::testing
