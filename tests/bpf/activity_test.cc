// SPDX-License-Identifier: Apache-2.0
// What the kernel programs say about a process as a whole: sketches, first contacts, initiated and
// accepted bytes, and the share of one uid. Needs root (label bpf).
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "common/time.h"
#include "tests/bpf/live.h"

namespace culprit::testing {
namespace {

constexpr std::uint16_t kClosedPort = 9;

// 127.78.0.0/15 is nobody's on this machine; the filter of contacts sees other programs, too.
Address Target(std::uint32_t n, std::uint16_t port = kClosedPort) {
  Address to = Loopback(AF_INET, port);
  reinterpret_cast<sockaddr_in*>(&to.storage)->sin_addr.s_addr = htonl(0x7f4e0000U + n);
  return to;
}

bool Refused(const Address& to) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(fd.get(), to.get(), to.length) == -1 && errno == ECONNREFUSED;
}

// HyperLogLog with linear counting below 2.5 values a register (Flajolet et al. 2007).
double Estimate(std::span<const culprit_u8> registers) {
  const auto m = static_cast<double>(registers.size());
  double sum = 0, zeros = 0;
  for (const int rank : registers) {
    sum += std::ldexp(1.0, -rank);
    zeros += rank == 0 ? 1 : 0;
  }
  const double raw = 0.7213 / (1 + 1.079 / m) * m * m / sum;
  return raw <= 2.5 * m && zeros > 0 ? m * std::log(m / zeros) : raw;
}

std::uint64_t Window() { return ToNs(ReadBootClock()) / CULPRIT_ACTIVITY_WINDOW_NS; }

// The counters of a child after `body`, which was within one window.
culprit_counters WithinOneWindow(Live& live, const std::function<int()>& body) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    const std::uint64_t window = Window();
    Child child(body);
    const auto pid = static_cast<std::uint32_t>(child.pid());
    EXPECT_EQ(child.Wait(), 0);
    const std::size_t swept = live.sweeps;
    EXPECT_TRUE(live.Until([&] { return live.sweeps > swept && live.Counters(pid); }));
    const auto c = live.Counters(pid).value_or(culprit_counters{});
    if (Window() == window) return c;
  }
  ADD_FAILURE() << "this machine is too slow for one window";
  return {};
}

class SketchTest : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(SketchTest, EstimatesDestinationsOfConnectsWithinThreeStandardErrors) {
  Live live;
  ASSERT_TRUE(live.ok());
  const std::uint32_t n = GetParam();
  const auto c = WithinOneWindow(live, [n] {
    for (std::uint32_t i = 0; i < n; ++i) {
      if (!Refused(Target(i))) return 1;
    }
    return 0;
  });
  EXPECT_EQ(c.tcp_attempts, n);
  EXPECT_EQ(c.window_boot_ns % CULPRIT_ACTIVITY_WINDOW_NS, 0U);
  EXPECT_NEAR(Estimate(c.address_registers), n, std::max(1.0, 3 * 0.065 * n));
  EXPECT_NEAR(Estimate(c.port_registers), 1, 0.1);
}
INSTANTIATE_TEST_SUITE_P(Destinations, SketchTest, ::testing::Values(10, 1000, 20'000));

TEST(Sketch, ScannedPortsOfOneAddressAreManyPortsAndOneAddress) {
  Live live;
  ASSERT_TRUE(live.ok());
  const auto c = WithinOneWindow(live, [] {
    for (std::uint16_t port = 1; port <= 1000; ++port) {
      if (!Refused(Target(1, port))) return 1;
    }
    return 0;
  });
  EXPECT_NEAR(Estimate(c.address_registers), 1, 0.1);
  EXPECT_NEAR(Estimate(c.port_registers), 1000, 3 * 0.13 * 1000);
}

// More peers than one socket may have entries for: the sketch sees them all the same.
TEST(Sketch, DatagramsBeyondTheBudgetOfPeersAreStillSeen) {
  constexpr std::uint32_t kPeers = 5000;
  Live live;
  ASSERT_TRUE(live.ok());
  const auto c = WithinOneWindow(live, [] {
    const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    for (std::uint32_t i = 0; i < kPeers; ++i) {
      const Address to = Target(i);
      sendto(fd.get(), "x", 1, 0, to.get(), to.length);  // refusals of earlier ones come back here
    }
    return 0;
  });
  EXPECT_GT(live.lost.stat[CULPRIT_STAT_PEER_TABLE_FULL], 0U);
  EXPECT_NEAR(Estimate(c.address_registers), kPeers, 3 * 0.065 * kPeers);
}

TEST(FirstContact, IsCountedOnceForEachDestinationAndByItsOutcome) {
  Live live;
  ASSERT_TRUE(live.ok());
  const UniqueFd listener = Bound(AF_INET, SOCK_STREAM);
  ASSERT_EQ(listen(listener.get(), 64), 0);
  const Address open = Local(listener.get());
  const auto contact = [&](std::uint32_t refused) {
    for (int round = 0; round < 2; ++round) {
      for (std::uint32_t i = 0; i < refused; ++i) {
        if (!Refused(Target(0x10000 + i))) return 1;
      }
      const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (connect(fd.get(), open.get(), open.length) != 0) return 2;
    }
    return 0;
  };
  const auto counters = [&](std::uint32_t refused) {
    Child child([&] { return contact(refused); });
    const auto pid = static_cast<std::uint32_t>(child.pid());
    EXPECT_EQ(child.Wait(), 0);
    EXPECT_TRUE(live.Until([&] {
      const auto c = live.Counters(pid);
      return c && c->outcome[CULPRIT_OUTCOME_REFUSED] == 2 * refused &&
             c->outcome[CULPRIT_OUTCOME_OK] == 2;
    }));
    return live.Counters(pid).value_or(culprit_counters{});
  };
  const auto first = counters(20);
  EXPECT_EQ(first.first_contacts, 21U);
  EXPECT_EQ(first.first_contacts_failed, 20U);
  EXPECT_EQ(first.first_contacts_ok, 1U);
  const auto later = counters(25);  // another process, the same uid: five are new
  EXPECT_EQ(later.first_contacts, 5U);
  EXPECT_EQ(later.first_contacts_failed, 5U);
  EXPECT_EQ(later.first_contacts_ok, 0U);
}

TEST(Direction, InitiatedAndAcceptedBytesAreThoseOfTheFlows) {
  Live live;
  ASSERT_TRUE(live.ok());
  Child child([] {
    const UniqueFd listener = Bound(AF_INET, SOCK_STREAM);
    if (listen(listener.get(), 8) != 0) return 1;
    const Address to = Local(listener.get());
    UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(client.get(), to.get(), to.length) != 0) return 2;
    UniqueFd server(accept(listener.get(), nullptr, nullptr));
    if (!SendAll(client.get(), 5000) || ReceiveAll(server.get(), 5000) != 5000) return 3;
    if (!SendAll(server.get(), 123) || ReceiveAll(client.get(), 123) != 123) return 4;
    shutdown(client.get(), SHUT_WR);
    if (ReceiveAll(server.get(), 1) != 0) return 5;
    server.Reset();
    if (ReceiveAll(client.get(), 1) != 0) return 6;
    const UniqueFd from = Bound(AF_INET, SOCK_DGRAM), peer = Bound(AF_INET, SOCK_DGRAM);
    const Address udp = Local(peer.get());
    return sendto(from.get(), "abcd", 4, 0, udp.get(), udp.length) == 4 ? 0 : 7;
  });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  ASSERT_EQ(child.Wait(), 0);
  struct {
    std::uint64_t ends = 0, tx = 0, rx = 0;
  } out, in;
  EXPECT_TRUE(live.Until([&] {
    out = {}, in = {};
    for (const auto& flow : live.flows) {
      if (flow.owner.tgid != pid || flow.reason != CULPRIT_FLOW_END) continue;
      if (flow.direction != CULPRIT_DIRECTION_OUT && flow.direction != CULPRIT_DIRECTION_IN)
        continue;
      auto& side = flow.direction == CULPRIT_DIRECTION_OUT ? out : in;
      ++side.ends;
      side.tx += flow.tx_wire_bytes;
      side.rx += flow.rx_wire_bytes;
    }
    const auto c = live.Counters(pid);
    return out.ends == 2 && in.ends == 2 && c && c->tx_wire_bytes == out.tx + in.tx;
  })) << out.ends
      << " ends out, " << in.ends << " in; sent " << out.tx << " and " << in.tx << " of "
      << live.Counters(pid).value_or(culprit_counters{}).tx_wire_bytes;
  const auto c = live.Counters(pid).value_or(culprit_counters{});
  EXPECT_EQ(c.initiated_tx_wire_bytes, out.tx);
  EXPECT_EQ(c.initiated_rx_wire_bytes, out.rx);
  EXPECT_EQ(c.accepted_tx_wire_bytes, in.tx);
  EXPECT_EQ(c.accepted_rx_wire_bytes, in.rx);
  EXPECT_GT(out.tx, in.tx);
}

// One connect of each of `n` processes of `uid`, all alive until the last has connected.
int Storm(uid_t uid, int n) {
  int gate[2] = {-1, -1}, done[2] = {-1, -1};
  if (pipe(gate) != 0 || pipe(done) != 0 || setuid(uid) != 0) return 1;
  std::vector<Child> children;
  children.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    children.emplace_back([&] {
      close(gate[1]);
      const char ok = Refused(Target(0x18000)) ? 'y' : 'n';
      if (write(done[1], &ok, 1) != 1) return 1;
      char none = 0;
      return read(gate[0], &none, 1) == 0 ? 0 : 1;
    });
  }
  int connected = 0;
  for (char ok = 0; connected < n && read(done[0], &ok, 1) == 1 && ok == 'y';) ++connected;
  close(gate[1]);
  for (Child& child : children) child.Wait();
  return connected == n ? 0 : 2;
}

TEST(Budget, AStormOfOneUidLosesItsOwnDetailAndNobodyElses) {
  constexpr std::uint32_t kShare = 16, kProcesses = 100, kVictimConnects = 10;
  constexpr uid_t kAttacker = 64001, kVictim = 64002;
  BpfSourceOptions options;
  options.processes_per_uid = kShare;
  Live live(options);
  ASSERT_TRUE(live.ok());
  Child storm([] { return Storm(kAttacker, kProcesses); });
  ASSERT_EQ(storm.Wait(), 0);
  Child victim([] {
    if (setuid(kVictim) != 0) return 1;
    for (std::uint32_t i = 0; i < kVictimConnects; ++i) {
      if (!Refused(Target(0x19000 + i))) return 2;
    }
    return 0;
  });
  const auto victim_pid = static_cast<std::uint32_t>(victim.pid());
  ASSERT_EQ(victim.Wait(), 0);
  std::map<std::uint32_t, culprit_counters> own;
  culprit_counters bucket{};
  EXPECT_TRUE(live.Until([&] {
    std::uint64_t bytes = 0;
    for (const auto& c : live.counters) {
      if (c.uid != kAttacker) continue;
      (c.key.tgid == 0 ? bucket : own[c.key.tgid]) = c;
    }
    for (const auto& [tgid, c] : own) bytes += c.tx_wire_bytes;
    const auto c = live.Counters(victim_pid);
    return bytes + bucket.tx_wire_bytes == kProcesses * 60 && c &&
           c->outcome[CULPRIT_OUTCOME_REFUSED] == kVictimConnects;
  }));
  EXPECT_EQ(own.size(), kShare);
  EXPECT_EQ(bucket.key.start_boot_ns, 0U);
  EXPECT_EQ(bucket.key.exec_id, kAttacker + 1U);
  EXPECT_EQ(bucket.tcp_attempts, kProcesses - kShare);
  EXPECT_EQ(bucket.outcome[CULPRIT_OUTCOME_REFUSED], kProcesses - kShare);
  EXPECT_GT(live.lost.stat[CULPRIT_STAT_PROCESS_BUDGET], 0U);
  EXPECT_EQ(live.lost.stat[CULPRIT_STAT_PROCESS_TABLE_FULL], 0U);
  const auto c = live.Counters(victim_pid).value_or(culprit_counters{});
  EXPECT_EQ(c.uid, kVictim);
  EXPECT_EQ(c.tcp_attempts, kVictimConnects);
  EXPECT_EQ(c.tx_wire_bytes, kVictimConnects * 60);
  EXPECT_EQ(c.rx_wire_bytes, kVictimConnects * 40);
}

TEST(Budget, AShareIsThereAgainSoonAfterItsProcessesAreGone) {
  constexpr std::uint32_t kShare = 4;
  constexpr uid_t kUid = 64003;
  BpfSourceOptions options;
  options.processes_per_uid = kShare;
  Live live(options);
  ASSERT_TRUE(live.ok());
  Child storm([] { return Storm(kUid, 2 * kShare); });
  ASSERT_EQ(storm.Wait(), 0);
  const auto with_own_entry = [&] {
    std::set<std::uint32_t> tgids;
    for (const auto& c : live.counters) {
      if (c.uid == kUid && c.key.tgid != 0) tgids.insert(c.key.tgid);
    }
    return tgids.size();
  };
  ASSERT_TRUE(live.Until([&] { return with_own_entry() == kShare; }));
  EXPECT_TRUE(live.Until([&] {  // until one more gets an entry: less than the minute of quiet times
    Child later([] { return setuid(kUid) == 0 && Refused(Target(0x18001)) ? 0 : 1; });
    return later.Wait() != 0 || with_own_entry() > kShare;
  }));
  EXPECT_GT(with_own_entry(), kShare);
}

}  // namespace
}  // namespace culprit::testing
