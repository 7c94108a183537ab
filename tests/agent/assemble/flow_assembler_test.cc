// SPDX-License-Identifier: Apache-2.0
#include "agent/assemble/flow_assembler.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cerrno>
#include <string>
#include <vector>

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

class FlowAssemblerTest : public ::testing::Test {
 protected:
  static constexpr const char* kHost = "10.0.0.5";
  static constexpr const char* kPeer = "203.0.113.9";

  Packet Tcp(bool out, std::uint8_t flags, std::uint32_t seq = 1, std::uint32_t payload = 0,
             std::uint16_t port = 40000, std::uint16_t service = 80) {
    Packet packet = Ports(out, IPPROTO_TCP, port, service);
    packet.tcp_flags = flags;
    packet.tcp_seq = seq;
    packet.payload_bytes = payload;
    packet.ip_bytes = 40 + payload;
    return packet;
  }
  Packet Udp(bool out, std::uint32_t payload, std::uint16_t port = 40000,
             std::uint16_t service = 4000) {
    Packet packet = Ports(out, IPPROTO_UDP, port, service);
    packet.payload_bytes = payload;
    packet.ip_bytes = 28 + payload;
    return packet;
  }
  Packet Ports(bool out, std::uint8_t protocol, std::uint16_t port, std::uint16_t service) {
    Packet packet;
    packet.protocol = protocol;
    packet.ip_version = 4;
    packet.source = Ip(out ? kHost : kPeer);
    packet.destination = Ip(out ? kPeer : kHost);
    packet.source_port = out ? port : service;
    packet.destination_port = out ? service : port;
    return packet;
  }
  void At(milliseconds after, const Packet& packet, const Packet* quoted = nullptr) {
    assembler_.On(packet, kStart + after, nullptr, quoted);
  }
  void TickTo(milliseconds after) {
    for (; ticked_ <= after; ticked_ += seconds(1)) assembler_.Tick(kStart + ticked_);
  }
  template <class T>
  std::vector<T> Of() const {
    std::vector<T> found;
    for (const Event& event : events_) {
      if (const auto* one = std::get_if<T>(&event)) found.push_back(*one);
    }
    return found;
  }
  std::vector<FlowReason> Reasons() const {
    std::vector<FlowReason> reasons;
    for (const FlowEvent& flow : Of<FlowEvent>()) reasons.push_back(flow.reason);
    return reasons;
  }

  static constexpr BootTime kStart = BootTimeFromNs(1'000'000'000'000);
  milliseconds ticked_{0};
  std::vector<Event> events_;
  LocalHosts hosts_{{*Cidr::Parse(kHost)}};
  FlowAssembler assembler_{hosts_, AssembleLimits{},
                           [this](Event event) { events_.push_back(std::move(event)); }};
};

TEST_F(FlowAssemblerTest, AConnectionIsToldFromItsAttemptToItsEndWithExactCounters) {
  At(milliseconds(0), Tcp(true, kTcpSyn, 100));
  At(milliseconds(1), Tcp(false, kTcpSyn | kTcpAck, 500));
  At(milliseconds(2), Tcp(true, kTcpAck, 101));
  At(milliseconds(3), Tcp(true, kTcpAck, 101, 300));
  At(milliseconds(4), Tcp(true, kTcpAck, 101, 300));  // once more
  At(milliseconds(5), Tcp(false, kTcpAck, 501, 1000));
  At(milliseconds(6), Tcp(true, kTcpFin | kTcpAck, 401));
  At(milliseconds(7), Tcp(false, kTcpFin | kTcpAck, 1501));
  At(milliseconds(8), Tcp(true, kTcpAck, 402));
  TickTo(seconds(4));
  EXPECT_EQ(Reasons(), (std::vector{FlowReason::kAttempt, FlowReason::kEstablished,
                                    FlowReason::kSnapshot, FlowReason::kEnd}));
  const FlowEvent end = Of<FlowEvent>().back();
  EXPECT_EQ(end.direction, Direction::kOut);
  EXPECT_EQ(end.local.ToString(), "10.0.0.5:40000");
  EXPECT_EQ(end.totals.tx_payload_bytes, 300U);
  EXPECT_EQ(end.totals.retransmitted_bytes, 300U);
  EXPECT_EQ(end.totals.rx_payload_bytes, 1000U);
  EXPECT_EQ(end.totals.tx_packets, 6U);
  EXPECT_EQ(end.totals.tx_wire_bytes, 6U * 40 + 600);
  EXPECT_EQ(end.totals.rx_wire_bytes, 3U * 40 + 1000);
  const CountersEvent counters = Of<CountersEvent>().back();
  EXPECT_EQ(counters.tcp_attempts, 1U);
  EXPECT_EQ(counters.outcome[CULPRIT_OUTCOME_OK], 1U);
  EXPECT_EQ(counters.activity.first_contacts_ok, 1U);
  EXPECT_EQ(counters.activity.initiated_tx_wire_bytes, 6U * 40 + 600);
}

TEST_F(FlowAssemblerTest, ACaptureThatEndsWithTheLastPacketOfAConnectionEndsTheConnection) {
  At(milliseconds(0), Tcp(true, kTcpSyn, 100));
  At(milliseconds(1), Tcp(false, kTcpSyn | kTcpAck, 500));
  At(milliseconds(2), Tcp(true, kTcpSyn, 100, 0, 40001));
  At(milliseconds(3), Tcp(false, kTcpSyn | kTcpAck, 500, 0, 40001));
  At(milliseconds(4), Tcp(true, kTcpFin | kTcpAck, 101));
  At(milliseconds(5), Tcp(false, kTcpFin | kTcpAck, 501));
  assembler_.Finish(kStart + milliseconds(5));
  const auto flows = Of<FlowEvent>();
  ASSERT_GE(flows.size(), 2U);
  const FlowEvent &over = flows[flows.size() - 2], &open = flows.back();
  EXPECT_EQ(over.reason, FlowReason::kEnd);
  EXPECT_EQ(over.local.port, 40000);
  EXPECT_EQ(open.reason, FlowReason::kSnapshot);
  EXPECT_EQ(open.local.port, 40001);
}

struct Attempt {
  const char* name;
  std::uint8_t answer_flags;  // 0: none
  std::uint8_t icmp_type, icmp_code;
  bool reset_by_us;
  std::int32_t error;
  culprit_outcome outcome;
};

class AttemptTest : public FlowAssemblerTest, public ::testing::WithParamInterface<Attempt> {};

TEST_P(AttemptTest, EndsWithItsOutcome) {
  const Attempt& c = GetParam();
  const Packet syn = Tcp(true, kTcpSyn, 100);
  At(milliseconds(0), syn);
  if (c.answer_flags != 0) At(milliseconds(1), Tcp(false, c.answer_flags, 0));
  if (c.reset_by_us) At(milliseconds(1), Tcp(true, kTcpRst, 101));
  if (c.icmp_type != 0) {
    Packet icmp = Ports(false, IPPROTO_ICMP, 0, 0);
    icmp.icmp_type = c.icmp_type;
    icmp.icmp_code = c.icmp_code;
    icmp.ip_bytes = 56;
    At(milliseconds(1), icmp, &syn);
  }
  TickTo(seconds(12));
  std::vector<FlowEvent> failed;
  for (const FlowEvent& flow : Of<FlowEvent>()) {
    if (flow.reason == FlowReason::kFailed) failed.push_back(flow);
  }
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].error, c.error);
  EXPECT_EQ(failed[0].flags & CULPRIT_FLOW_ABORTED, c.reset_by_us ? CULPRIT_FLOW_ABORTED : 0U);
  const CountersEvent counters = Of<CountersEvent>().back();
  EXPECT_EQ(counters.outcome[c.outcome], 1U);
  EXPECT_EQ(counters.activity.first_contacts_failed, 1U);
  EXPECT_EQ(counters.outcome[CULPRIT_OUTCOME_OK], 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Attempts, AttemptTest,
    ::testing::Values(
        Attempt{"refused", kTcpRst | kTcpAck, 0, 0, false, ECONNREFUSED, CULPRIT_OUTCOME_REFUSED},
        Attempt{"unanswered", 0, 0, 0, false, ETIMEDOUT, CULPRIT_OUTCOME_TIMED_OUT},
        Attempt{"host_unreachable", 0, 3, 1, false, EHOSTUNREACH, CULPRIT_OUTCOME_UNREACHABLE},
        Attempt{"net_unreachable", 0, 3, 0, false, ENETUNREACH, CULPRIT_OUTCOME_UNREACHABLE},
        Attempt{"given_up", 0, 0, 0, true, 0, CULPRIT_OUTCOME_ABORTED}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_F(FlowAssemblerTest, ASecondConnectionOverTheSamePortsIsAnotherFlow) {
  for (const std::uint32_t seq : {100U, 9000U}) {
    At(milliseconds(seq), Tcp(true, kTcpSyn, seq));
    At(milliseconds(seq + 1), Tcp(false, kTcpSyn | kTcpAck, 5));
  }
  EXPECT_EQ(assembler_.counters().flows, 2U);
  const auto flows = Of<FlowEvent>();
  EXPECT_NE(flows.front().cookie, flows.back().cookie);
}

TEST_F(FlowAssemblerTest, ASynSentAgainIsOneAttempt) {
  for (const int at : {0, 1000, 3000}) At(milliseconds(at), Tcp(true, kTcpSyn, 100));
  TickTo(seconds(1));
  EXPECT_EQ(assembler_.counters().flows, 1U);
  EXPECT_EQ(Of<CountersEvent>().back().tcp_attempts, 1U);
}

TEST_F(FlowAssemblerTest, WhoeverSentFirstBeganADatagramFlowAndWhatComesInIsAccepted) {
  At(milliseconds(0), Udp(false, 100));
  At(milliseconds(1), Udp(true, 50));
  TickTo(seconds(0));
  const FlowEvent flow = Of<FlowEvent>().back();
  EXPECT_EQ(flow.direction, Direction::kIn);
  EXPECT_EQ(flow.totals.rx_payload_bytes, 100U);
  EXPECT_EQ(flow.totals.tx_payload_bytes, 50U);
  EXPECT_EQ(Of<CountersEvent>().back().activity.accepted_rx_wire_bytes, 128U);
}

TEST_F(FlowAssemblerTest, AnIdleDatagramFlowEndsAndGoesOnAsAnother) {
  At(milliseconds(0), Udp(true, 10));
  TickTo(seconds(62));
  EXPECT_EQ(Reasons().back(), FlowReason::kEnd);
  At(seconds(63), Udp(true, 10));
  EXPECT_EQ(assembler_.counters().flows, 2U);
}

TEST_F(FlowAssemblerTest, FragmentsAreCountedWhereTheirFirstWas) {
  Packet first = Udp(true, 1472);
  first.first_fragment = true;
  At(milliseconds(0), first);
  Packet second = Ports(true, IPPROTO_UDP, 0, 0);
  second.fragment = true;
  second.payload_bytes = 1000;
  second.ip_bytes = 1020;
  At(milliseconds(0), second);
  TickTo(seconds(0));
  EXPECT_EQ(assembler_.counters().flows, 1U);
  EXPECT_EQ(Of<FlowEvent>().back().totals.tx_wire_bytes, 1500U + 1020);
}

TEST_F(FlowAssemblerTest, AFlowBetweenTwoWatchedHostsIsToldFromBothEnds) {
  LocalHosts both({*Cidr::Parse(kHost), *Cidr::Parse(kPeer)});
  std::vector<FlowEvent> flows;
  FlowAssembler assembler(both, AssembleLimits{}, [&](const Event& event) {
    if (const auto* flow = std::get_if<FlowEvent>(&event)) flows.push_back(*flow);
  });
  assembler.On(Udp(true, 100), kStart);
  assembler.Tick(kStart);
  ASSERT_EQ(flows.size(), 4U);  // first datagram and snapshot
  EXPECT_EQ(flows[2].direction, Direction::kOut);
  EXPECT_EQ(flows[3].direction, Direction::kIn);
  EXPECT_EQ(flows[2].totals.tx_wire_bytes, flows[3].totals.rx_wire_bytes);
  EXPECT_NE(flows[2].owner, flows[3].owner);
  EXPECT_NE(flows[2].cookie, flows[3].cookie);
}

TEST_F(FlowAssemblerTest, OverItsBoundTheOldestFlowIsToldAndForgotten) {
  AssembleLimits limits;
  limits.max_flows = 2;
  std::vector<FlowEvent> ended;
  FlowAssembler assembler(hosts_, limits, [&](const Event& event) {
    const auto* flow = std::get_if<FlowEvent>(&event);
    if (flow != nullptr && flow->reason == FlowReason::kEnd) ended.push_back(*flow);
  });
  for (std::uint16_t port = 1; port <= 3; ++port) {
    assembler.On(Udp(true, port, 40000 + port), kStart + seconds(port));
  }
  EXPECT_EQ(assembler.live_flows(), 2U);
  EXPECT_EQ(assembler.counters().flows_evicted, 1U);
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].local.port, 40001);
}

TEST_F(FlowAssemblerTest, DistinctDestinationsAreThoseOfTheWindow) {
  for (std::uint16_t n = 0; n < 50; ++n) {
    At(milliseconds(n), Tcp(true, kTcpSyn, n, 0, 40000 + n, 1000 + n));
  }
  TickTo(seconds(0));
  const Activity activity = Of<CountersEvent>().back().activity;
  EXPECT_EQ(activity.window_addresses, 1U);
  EXPECT_EQ(activity.window_ports, 50U);
  EXPECT_EQ(activity.first_contacts, 50U);
}

TEST(ProcessMap, NamesWhoUsedAnEndpointAndSaysWhichLineIsWrong) {
  const auto map =
      ParseProcessMap("# who\n10.0.0.5 22 tcp 812 /usr/sbin/sshd 0\n* 53 udp 7 named\n");
  ASSERT_TRUE(map);
  LocalHosts hosts({}, *map);
  std::optional<ExecEvent> started;
  const auto key = hosts.ProcessOf({Ip("10.0.0.5"), 22}, IPPROTO_TCP, BootTimeFromNs(5), &started);
  EXPECT_EQ(key.tgid, Tgid(812));
  ASSERT_TRUE(started);
  EXPECT_EQ(started->path, "/usr/sbin/sshd");
  started.reset();
  EXPECT_EQ(hosts.ProcessOf({Ip("10.0.0.5"), 22}, IPPROTO_TCP, BootTimeFromNs(6), &started), key);
  EXPECT_FALSE(started);
  EXPECT_NE(hosts.ProcessOf({Ip("10.0.0.5"), 23}, IPPROTO_TCP, BootTimeFromNs(6), &started), key);
  for (const char* wrong : {"\n1.2.3.4 x tcp 1 a", "\n1.2.3.4 1 icmp 1 a", "\nhost 1 tcp 1 a",
                            "\n* 1 tcp 0 a", "\n* 1 tcp"}) {
    const auto bad = ParseProcessMap(wrong);
    ASSERT_FALSE(bad) << wrong;
    EXPECT_NE(bad.error().message.find("line 2"), std::string::npos) << bad.error().message;
  }
}

}  // namespace
}  // namespace culprit
