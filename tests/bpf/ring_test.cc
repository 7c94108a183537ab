// SPDX-License-Identifier: Apache-2.0
// The packet ring with real traffic between namespaces of its own. Needs root (label bpf).
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "agent/source/capture_file.h"
#include "tests/bpf/ring_live.h"
#include "tests/support/subprocess.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint16_t kBulkPort = 443, kSshPort = 22, kDnsPort = 53;

Packet HeadersOf(const Found& found) {
  CapturedPacket captured;
  captured.link_type = kEthernet;
  captured.wire_bytes = found.wire_bytes;
  captured.bytes = found.bytes;
  Packet headers;
  EXPECT_EQ(DecodePacket(captured, headers), PacketStatus::kOk);
  return headers;
}

// Segments with that flag, each once: a busy machine sends some again.
std::size_t CountFlag(const std::vector<Found>& found, std::uint8_t flag) {
  std::set<std::tuple<std::uint16_t, std::uint16_t, std::uint32_t>> segments;
  for (const Found& packet : found) {
    const Packet headers = HeadersOf(packet);
    if ((headers.tcp_flags & flag) == 0) continue;
    segments.emplace(headers.source_port, headers.destination_port, headers.tcp_seq);
  }
  return segments.size();
}

// Bytes of one connection's stream that are there, each once.
std::uint64_t PayloadKept(const std::vector<Found>& found, PacketDirection direction) {
  std::map<std::uint32_t, std::uint32_t> ends;  // by where a segment begins
  for (const Found& packet : found) {
    if (packet.direction != direction) continue;
    const Packet headers = HeadersOf(packet);
    const auto length = static_cast<std::uint32_t>(headers.payload.size());
    std::uint32_t& end = ends[headers.tcp_seq];
    end = std::max(end, headers.tcp_seq + length);
  }
  std::uint64_t sum = 0;
  std::uint32_t covered = 0;
  for (const auto& [begin, end] : ends) {
    if (end <= covered) continue;
    sum += end - std::max(begin, covered);
    covered = end;
  }
  return sum;
}

TEST(RingTest, BulkEvictsNeitherTheLoginNorTheNamesBeforeIt) {
  const RingLive live;
  ASSERT_TRUE(live.ok());
  constexpr int kQuestions = 50, kKeys = 200;
  constexpr std::size_t kSyns = 202;  // of 101 connections
  live.Ask(kDnsPort, kQuestions, 60);
  auto ssh = live.Connect(kSshPort);
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_TRUE(SendAll(ssh.client.get(), 150));
    ASSERT_EQ(ReceiveAll(ssh.server.get(), 150), 150U);
    ASSERT_TRUE(SendAll(ssh.server.get(), 90));
    ASSERT_EQ(ReceiveAll(ssh.client.get(), 90), 90U);
  }
  RingLive::Transfer(live.Connect(kBulkPort), 40U << 20);
  for (int i = 0; i < 100; ++i) RingLive::Transfer(live.Connect(kBulkPort), 60'000);

  ASSERT_TRUE(live.Until([&] { return CountFlag(live.FindPort(kBulkPort), kTcpSyn) == kSyns; }))
      << "first contacts";
  const RingStatus status = live.ring->status();
  EXPECT_GT(status.lanes[static_cast<std::size_t>(RingLane::kGeneral)].evicted_segments, 0U);
  EXPECT_LE(status.bytes, 4U << 20);
  EXPECT_THAT(live.FindPort(kDnsPort), SizeIs(2 * kQuestions));
  const auto login = live.FindPort(kSshPort);
  EXPECT_EQ(PayloadKept(login, PacketDirection::kOut), 150U * kKeys);
  EXPECT_EQ(PayloadKept(login, PacketDirection::kIn), 90U * kKeys);
  EXPECT_EQ(CountFlag(login, kTcpSyn), 2U);
  for (const TapInterface& interface : status.interfaces) EXPECT_EQ(interface.dropped, 0U);
}

// What a stub resolver is asked is a name that a process wanted; other traffic of a host with itself is nobody's proof.
TEST(RingTest, OfLoopbackDnsAloneIsKeptOnce) {
  const RingLive live([](RingConfig& config) { config.tap.interfaces.clear(); });
  ASSERT_TRUE(live.ok());
  live.net.In('a', [] {
    const UniqueFd receiver = Bound(AF_INET, SOCK_DGRAM);
    const Address other = Local(receiver.get());
    const Address stub = V4("127.0.0.53", kDnsPort);
    const UniqueFd sender(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(sendto(sender.get(), "other", 5, 0, other.get(), other.length), 5);
      ASSERT_EQ(sendto(sender.get(), "question", 8, 0, stub.get(), stub.length), 8);
    }
  });
  ASSERT_TRUE(live.Until([&] { return live.FindPort(kDnsPort).size() >= 5; }));
  EXPECT_THAT(live.FindPort(kDnsPort), SizeIs(5));
  std::uint64_t all = 0;
  for (const TapInterface& interface : live.ring->status().interfaces) {
    if (interface.name == "lo") all = interface.received;
  }
  EXPECT_EQ(all, 5U);
}

TEST(RingTest, AConnectionIsKeptWholeAtFirstThenByHeadersThenCounted) {
  constexpr std::uint32_t kHeaders = 20, kHeaderBytes = 96;
  const RingLive live([](RingConfig& config) {
    config.tap.policy.header_packets = kHeaders;
    config.tap.policy.header_bytes = kHeaderBytes;
    config.segments = 16;
  });
  ASSERT_TRUE(live.ok());
  RingLive::Transfer(live.Connect(kBulkPort), 4U << 20);
  ASSERT_TRUE(live.Until([&] { return CountFlag(live.FindPort(kBulkPort), kTcpFin) >= 2; }));
  const auto found = live.FindPort(kBulkPort);
  std::uint64_t whole = 0;
  std::size_t cut = 0, after = 0, ends = 0;
  for (const Found& packet : found) {
    const bool is_cut = packet.bytes.size() < packet.wire_bytes;
    if (is_cut) {
      EXPECT_EQ(packet.bytes.size(), kHeaderBytes);
    }
    const std::uint8_t flags = HeadersOf(packet).tcp_flags;
    if ((flags & kTcpSyn) != 0) continue;
    if (whole < (64U << 10)) {
      EXPECT_FALSE(is_cut) << "at " << whole;
      whole += packet.wire_bytes;
    } else {
      cut += is_cut ? 1 : 0;
      ++((flags & (kTcpFin | kTcpRst)) != 0 ? ends : after);
    }
  }
  EXPECT_GE(whole, 64U << 10);
  EXPECT_LE(after, kHeaders + 2) << "two CPUs may each grant one";
  EXPECT_GE(after, kHeaders - 2);
  EXPECT_GT(cut, 0U);
  EXPECT_GE(ends, 2U);
  const culprit_tap_counters general = live.ring->status().classes[CULPRIT_TAP_GENERAL];
  EXPECT_GT(general.past_budget, 1000U);
  EXPECT_EQ(general.over_rate, 0U);
  EXPECT_EQ(general.seen, general.kept + general.past_budget);
  EXPECT_GE(general.seen_bytes, 4U << 20);
}

TEST(RingTest, AClassThatHasHadItsBytesOfTheSecondIsCountedOnly) {
  const RingLive live([](RingConfig& config) {
    config.tap.policy.dns = {0, 20'000};
    config.tap.policy.header_bytes = 60;
  });
  ASSERT_TRUE(live.ok());
  live.Ask(kDnsPort, 400, 60);
  live.Ask(7777, 10, 60);
  ASSERT_TRUE(live.Until([&] { return live.FindPort(7777).size() == 20; })) << "others go on";
  const culprit_tap_counters dns = live.ring->status().classes[CULPRIT_TAP_DNS];
  EXPECT_EQ(dns.seen, 800U);
  EXPECT_EQ(dns.kept + dns.over_rate, 800U);
  EXPECT_GT(dns.over_rate, 600U);
  EXPECT_THAT(live.FindPort(kDnsPort), SizeIs(dns.kept));
}

TEST(RingTest, Ipv6IsReadBehindItsExtensionHeaders) {
  const RingLive live;
  ASSERT_TRUE(live.ok());
  live.net.Run('a', "ip addr add 2001:db8::2/64 dev va nodad");
  live.net.Run('r', "ip addr add 2001:db8::1/64 dev ra nodad");
  live.net.In('a', [&] {
    UniqueFd fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(kDnsPort);
    const IpAddress address = IpAddress::Parse("2001:db8::1").value();
    std::memcpy(&to.sin6_addr, address.bytes().data(), 16);
    for (const bool options : {false, true}) {
      const char destination[8] = {0, 0, 1, 4, 0, 0, 0, 0};  // padding
      if (options) {
        ASSERT_EQ(setsockopt(fd.get(), IPPROTO_IPV6, IPV6_DSTOPTS, destination, 8), 0);
      }
      for (int i = 0; i < 5; ++i) {
        ASSERT_EQ(sendto(fd.get(), "question", 8, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
                  8);
      }
    }
  });
  ASSERT_TRUE(live.Until([&] { return live.FindPort(kDnsPort).size() == 10; }));
  EXPECT_EQ(live.ring->status().classes[CULPRIT_TAP_DNS].kept, 10U);
}

TEST(RingTest, ASmallFlowIsTheSameAsTcpdumpSawIt) {
  const RingLive live;
  ASSERT_TRUE(live.ok());
  const std::string file = live.directory / "tcpdump.pcap", log = live.directory / "tcpdump.log";
  std::unique_ptr<testing_support::Background> tcpdump;
  live.net.In('a', [&] {
    tcpdump = std::make_unique<testing_support::Background>(
        std::vector<std::string>{"/usr/bin/tcpdump", "-i", "va", "-U", "-n", "-Z", "root",
                                 "--time-stamp-precision=nano", "-w", file, "tcp", "port", "8080"},
        log);
  });
  ASSERT_TRUE(tcpdump->AwaitLog("listening on")) << tcpdump->log();
  RingLive::Transfer(live.Connect(8080), 20'000);
  ASSERT_TRUE(live.Until([&] { return CountFlag(live.FindPort(8080), kTcpFin) >= 2; }));
  ASSERT_TRUE(live.Until([&] { return std::filesystem::file_size(file) > 20'000; }));
  tcpdump->Signal(SIGINT);
  EXPECT_EQ(tcpdump->Wait(), 0) << tcpdump->log();

  auto reader = CaptureReader::Open(file);
  ASSERT_TRUE(reader) << reader.error().message;
  std::vector<std::string> ours, theirs;
  bool nanoseconds = false;
  for (const Found& packet : live.FindPort(8080)) {
    ours.push_back(packet.bytes);
    nanoseconds = nanoseconds || packet.wall_ns % 1000 != 0;
  }
  CapturedPacket packet;
  while ((*reader)->Next(packet).value_or(false)) theirs.emplace_back(packet.bytes);
  // Each socket has its own order and time of what crosses it in both directions at once.
  std::sort(theirs.begin(), theirs.end());
  std::sort(ours.begin(), ours.end());
  EXPECT_EQ(ours.size(), theirs.size());
  EXPECT_TRUE(ours == theirs);
  EXPECT_TRUE(nanoseconds);
}

RingFlow FlowOf(const RingLive::Connection& connection, std::uint64_t flow, std::uint64_t process) {
  RingFlow row;
  row.flow = FlowId{flow};
  row.process = ProcessId{process};
  row.tgid = Tgid{4711};
  row.comm = "relay";
  row.local = connection.local;
  row.remote = connection.remote;
  row.protocol = IPPROTO_TCP;
  row.start = ReadBootClock();
  return row;
}

TEST(RingTest, PacketsHaveTheNamesOfAFlowThatIsLearntAfterThem) {
  const RingLive live([](RingConfig& config) { config.join.hold = std::chrono::seconds(2); });
  ASSERT_TRUE(live.ok());
  auto connection = live.Connect(kBulkPort);
  const RingFlow row = FlowOf(connection, 5, 50);
  RingLive::Transfer(std::move(connection), 5000);
  live.ring->LearnFlow(row);
  PcapngProcess process;
  process.id = ProcessId{50};
  process.tgid = Tgid{4711};
  process.exe = "/opt/relay";
  live.ring->LearnProcess(process);
  PacketQuery query;
  query.processes = {ProcessId{50}};
  std::vector<Found> found;
  ASSERT_TRUE(live.Until([&] {
    found = live.Find(query);
    return CountFlag(found, kTcpFin) >= 2;
  }));
  EXPECT_EQ(found.size(), live.FindPort(kBulkPort).size()) << "all of it, the SYN too";
  for (const Found& packet : found) {
    EXPECT_EQ(packet.flow, FlowId{5});
    EXPECT_EQ(packet.exe, "/opt/relay");
    EXPECT_THAT(packet.comment, HasSubstr("pid=4711 comm=relay"));
    EXPECT_EQ(packet.direction == PacketDirection::kOut,
              HeadersOf(packet).destination_port == kBulkPort);
  }
}

TEST(RingTest, TheAgentsOwnConnectionIsCountedAndNotKept) {
  const RingLive live;
  ASSERT_TRUE(live.ok());
  auto connection = live.Connect(7443);
  RingFlow row = FlowOf(connection, 6, 60);
  row.is_agent = true;
  live.ring->LearnFlow(row);
  live.ring->Settle();
  RingLive::Transfer(std::move(connection), 100'000);
  live.ring->Settle();
  ASSERT_TRUE(live.Until(
      [&] { return live.ring->status().classes[CULPRIT_TAP_EXCLUDED].seen_bytes > 100'000; }));
  EXPECT_EQ(PayloadKept(live.FindPort(7443), PacketDirection::kOut), 0U);
}

TEST(RingTest, WhatIsFlaggedIsKeptWholeBeyondItsBudget) {
  const RingLive live([](RingConfig& config) {
    config.segments = 16;
    config.tap.policy.header_packets = 5;
  });
  ASSERT_TRUE(live.ok());
  constexpr std::size_t kBytes = 500'000;
  auto by_process = live.Connect(5001);
  live.ring->LearnFlow(FlowOf(by_process, 7, 70));
  live.ring->FlagProcess(ProcessId{70}, true);
  auto by_flow = live.Connect(5002);
  live.ring->FlagFlow(by_flow.local, by_flow.remote, IPPROTO_TCP, true);
  auto neither = live.Connect(5003);
  live.ring->Settle();
  RingLive::Transfer(std::move(by_process), kBytes);
  RingLive::Transfer(std::move(by_flow), kBytes);
  RingLive::Transfer(std::move(neither), kBytes);
  live.ring->FlagAddress(Endpoint::Parse(kServer).value().address, true);
  live.ring->Settle();
  RingLive::Transfer(live.Connect(5004), kBytes);
  live.ring->FlagAddress(Endpoint::Parse(kServer).value().address, false);
  live.ring->Settle();
  RingLive::Transfer(live.Connect(5005), kBytes);
  ASSERT_TRUE(live.Until([&] { return CountFlag(live.FindPort(5005), kTcpFin) >= 2; }));
  for (const std::uint16_t port : std::initializer_list<std::uint16_t>{5001, 5002, 5004}) {
    EXPECT_EQ(PayloadKept(live.FindPort(port), PacketDirection::kOut), kBytes) << port;
  }
  for (const std::uint16_t port : std::initializer_list<std::uint16_t>{5003, 5005}) {
    EXPECT_LT(PayloadKept(live.FindPort(port), PacketDirection::kOut), 100'000U) << port;
  }
}

TEST(RingTest, InterfacesAreFollowedAsTheyComeAndGo) {
  const RingLive live([](RingConfig& config) { config.tap.interfaces.clear(); });
  ASSERT_TRUE(live.ok());
  const auto captured = [&](const std::string& name) {
    const auto interfaces = live.ring->status().interfaces;
    return std::any_of(interfaces.begin(), interfaces.end(),
                       [&](const TapInterface& one) { return one.name == name && one.captured; });
  };
  EXPECT_TRUE(captured("va"));
  live.net.Run('a', "ip link add vc type veth peer name vd && ip link set vd up");
  live.net.Run('a', "ip addr add 203.0.113.1/24 dev vc && ip link set vc up");
  ASSERT_TRUE(live.Until([&] { return captured("vc") && captured("vd"); }));
  live.net.Run('a', "ip link set vd down");
  ASSERT_TRUE(live.Until([&] { return !captured("vd"); }));
  live.net.Run('a', "ip link set vd up");
  ASSERT_TRUE(live.Until([&] { return captured("vd"); }));
  live.net.Run('a', "ip link del vc");
  ASSERT_TRUE(live.Until([&] { return !captured("vc") && !captured("vd"); }));
  EXPECT_THAT(live.ring->status().degraded, IsEmpty()) << "what is gone is not missed";
  live.Ask(7777, 3, 60);
  ASSERT_TRUE(live.Until([&] { return live.FindPort(7777).size() == 6; })) << "va goes on";
}

TEST(RingTest, LoopbackIsCapturedOnceAndNamedByWhoSends) {
  const RingLive live([](RingConfig& config) { config.tap.interfaces = {"lo"}; });
  ASSERT_TRUE(live.ok());
  UniqueFd server, client;
  live.net.In('a', [&] {
    server = Bound(AF_INET, SOCK_DGRAM);
    client = Bound(AF_INET, SOCK_DGRAM);
  });
  RingFlow row;
  row.flow = FlowId{9};
  row.process = ProcessId{90};
  row.protocol = IPPROTO_UDP;
  row.start = ReadBootClock();
  row.local = ToEndpoint(Local(client.get()));
  row.remote = ToEndpoint(Local(server.get()));
  live.ring->LearnFlow(row);
  const Address to = Local(server.get());
  for (int i = 0; i < 7; ++i) {
    ASSERT_EQ(sendto(client.get(), "hello", 5, 0, to.get(), to.length), 5);
  }
  ASSERT_TRUE(live.Until([&] { return live.FindPort(row.remote.port).size() >= 7; }));
  const auto found = live.FindPort(row.remote.port);
  EXPECT_THAT(found, SizeIs(7));
  for (const Found& packet : found) {
    EXPECT_EQ(packet.direction, PacketDirection::kUnknown);
    EXPECT_EQ(packet.process, ProcessId{90});
  }
}

TEST(RingTest, BuffersOfManyInterfacesKeepToTheirBound) {
  constexpr std::uint64_t kBound = 4U << 20;
  const RingLive live([](RingConfig& config) {
    config.tap.interfaces.clear();
    config.tap.buffer_bytes = kBound;
  });
  ASSERT_TRUE(live.ok());
  for (const char* pair : {"x0 y0", "x1 y1", "x2 y2", "x3 y3"}) {
    const std::string names = pair;
    std::string command = "ip link add ";
    command.append(names, 0, 2).append(" type veth peer name ").append(names, 3, 2);
    for (const std::size_t at : {0U, 3U}) {
      command.append(" && ip link set ").append(names, at, 2).append(" up");
    }
    live.net.Run('a', command);
  }
  ASSERT_TRUE(live.Until([&] { return live.ring->status().interfaces.size() == 10; }));
  std::uint64_t used = 0;
  for (const TapInterface& interface : live.ring->status().interfaces) {
    used += interface.buffer_bytes;
    EXPECT_NE(interface.captured, interface.note.size() > 0) << interface.note;
  }
  EXPECT_LE(used, kBound);
  EXPECT_GT(used, kBound / 2);
  EXPECT_FALSE(live.ring->status().degraded.empty()) << "who is left out is said";
}

TEST(RingTest, WithoutTheProgramHeadersAreKeptAndThatIsSaid) {
  const RingLive live([](RingConfig& config) { config.tap.use_bpf = false; });
  ASSERT_TRUE(live.ok());
  RingLive::Transfer(live.Connect(kBulkPort), 100'000);
  ASSERT_TRUE(live.Until([&] { return CountFlag(live.FindPort(kBulkPort), kTcpFin) >= 2; }));
  std::size_t in = 0, out = 0;
  for (const Found& packet : live.FindPort(kBulkPort)) {
    EXPECT_LE(packet.bytes.size(), 96U);
    ++(packet.direction == PacketDirection::kIn ? in : out);
  }
  EXPECT_GT(in, 10U);
  EXPECT_GT(out, 60U);
  ASSERT_THAT(live.ring->status().degraded, SizeIs(1));
  EXPECT_THAT(live.ring->status().degraded[0], HasSubstr("headers of all packets only"));
}

TEST(RingTest, WhatIsFrozenStaysWhenTheRingHasMovedOn) {
  const RingLive live;
  ASSERT_TRUE(live.ok());
  RingLive::Transfer(live.Connect(9001), 30'000);
  ASSERT_TRUE(live.Until([&] { return CountFlag(live.FindPort(9001), kTcpFin) >= 2; }));
  const std::size_t before = live.FindPort(9001).size();
  const auto frozen = live.ring->Freeze("finding-7", 0, INT64_MAX);
  ASSERT_TRUE(frozen) << frozen.error().message;
  EXPECT_EQ(frozen->left_out, 0U);
  for (int i = 0; i < 100; ++i) RingLive::Transfer(live.Connect(kBulkPort), 60'000);
  ASSERT_TRUE(live.Until([&] { return live.ring->status().lanes[0].evicted_segments > 2; }));
  EXPECT_LT(live.FindPort(9001).size(), before);
  PacketQuery query;
  query.port = 9001;
  EXPECT_THAT(live.Find(query, "finding-7"), SizeIs(before));
  ASSERT_TRUE(live.ring->Unfreeze("finding-7"));
  EXPECT_THAT(live.Find(query, "finding-7"), IsEmpty());
}

}  // namespace
}  // namespace culprit::testing
