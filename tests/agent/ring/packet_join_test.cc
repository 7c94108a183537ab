// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/packet_join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>

#include "agent/ring/lane.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int64_t kSecond = 1'000'000'000;

Endpoint End(const std::string& text) { return Endpoint::Parse(text).value(); }

JoinFlow Flow(std::uint64_t id, std::uint64_t process, const std::string& local,
              const std::string& remote, std::int64_t start_s, std::int64_t end_s = 0,
              std::uint8_t protocol = IPPROTO_TCP) {
  JoinFlow flow;
  flow.flow = FlowId{id};
  flow.process = ProcessId{process};
  flow.tgid = Tgid{77};
  flow.comm = "relay";
  flow.local = End(local);
  flow.remote = End(remote);
  flow.protocol = protocol;
  flow.start_ns = start_s * kSecond;
  flow.end_ns = end_s * kSecond;
  return flow;
}

Packet Headers(const std::string& source, const std::string& destination,
               std::uint8_t protocol = IPPROTO_TCP) {
  Packet packet;
  packet.source = End(source).address;
  packet.source_port = End(source).port;
  packet.destination = End(destination).address;
  packet.destination_port = End(destination).port;
  packet.protocol = protocol;
  return packet;
}

constexpr const char* kHere = "192.0.2.1:4000";
constexpr const char* kThere = "198.51.100.7:443";

TEST(PacketJoinTest, FindsTheFlowByTupleDirectionAndTime) {
  PacketJoin join;
  join.Learn(Flow(1, 10, kHere, kThere, 100, 200));
  join.Learn(Flow(2, 20, kHere, kThere, 300));                  // the ports again
  join.Learn(Flow(3, 30, kHere, kThere, 100, 0, IPPROTO_UDP));  // another protocol
  join.Learn(Flow(4, 40, kThere, kHere, 300));                  // its other end, here too
  join.Learn(Flow(5, 50, "[::]:53", "203.0.113.5:999", 100, 0, IPPROTO_UDP));
  constexpr auto kOut = PacketDirection::kOut, kIn = PacketDirection::kIn,
                 kUnknown = PacketDirection::kUnknown;
  const struct {
    const char *what, *source, *destination;
    std::uint8_t protocol;
    PacketDirection direction;
    std::int64_t second;
    std::uint64_t flow;
  } cases[] = {
      {"out", kHere, kThere, IPPROTO_TCP, kOut, 150, 1},
      {"in", kThere, kHere, IPPROTO_TCP, kIn, 150, 1},
      {"in, of the same tuple, is not out", kHere, kThere, IPPROTO_TCP, kIn, 150, 0},
      {"handshake before its flow", kHere, kThere, IPPROTO_TCP, kOut, 99, 1},
      {"long before", kHere, kThere, IPPROTO_TCP, kOut, 90, 0},
      {"last segment behind its end", kThere, kHere, IPPROTO_TCP, kIn, 201, 1},
      {"between the two", kThere, kHere, IPPROTO_TCP, kIn, 250, 0},
      {"the second use", kThere, kHere, IPPROTO_TCP, kIn, 301, 2},
      {"the other end of it", kHere, kThere, IPPROTO_TCP, kIn, 301, 4},
      {"loopback: who sends", kHere, kThere, IPPROTO_TCP, kUnknown, 301, 2},
      {"loopback: who sends, back", kThere, kHere, IPPROTO_TCP, kUnknown, 301, 4},
      {"loopback: only the receiver known", kThere, kHere, IPPROTO_TCP, kUnknown, 150, 1},
      {"protocol", kHere, kThere, IPPROTO_UDP, kOut, 150, 3},
      {"bound to no address", "203.0.113.5:999", "192.0.2.1:53", IPPROTO_UDP, kIn, 150, 5},
      {"another peer", "203.0.113.6:999", "192.0.2.1:53", IPPROTO_UDP, kIn, 150, 0},
  };
  for (const auto& c : cases) {
    const PacketNames names =
        join.Find(Headers(c.source, c.destination, c.protocol), c.direction, c.second * kSecond);
    EXPECT_EQ(names.flow, FlowId{c.flow}) << c.what;
    EXPECT_EQ(names.process, ProcessId{c.flow * 10}) << c.what;
  }
}

TEST(PacketJoinTest, AnOwnerThatTookOverHasThePacketsFromThenOn) {
  PacketJoin join;
  join.Learn(Flow(1, 10, kHere, kThere, 100));
  join.Learn(Flow(1, 11, kHere, kThere, 150));
  const auto owner = [&](std::int64_t second) {
    return join.Find(Headers(kHere, kThere), PacketDirection::kOut, second * kSecond).process;
  };
  EXPECT_EQ(owner(120), ProcessId{10});
  EXPECT_EQ(owner(160), ProcessId{11});
}

TEST(PacketJoinTest, ARepeatedRowReplacesAndTheCommentNamesAll) {
  PacketJoin join;
  join.Learn(Flow(1, 10, kHere, kThere, 100));
  EXPECT_THAT(join.OpenFlowsOf(ProcessId{10}), SizeIs(1));
  join.Learn(Flow(1, 10, kHere, kThere, 100, 130));
  EXPECT_EQ(join.stats().flows, 1U);
  EXPECT_THAT(join.OpenFlowsOf(ProcessId{10}), IsEmpty());
  const PacketNames names = join.Find(Headers(kHere, kThere), PacketDirection::kOut, 110 * kSecond);
  EXPECT_THAT(std::string(names.comment), HasSubstr("pid=77 comm=relay"));
}

TEST(PacketJoinTest, TablesAreBoundedAndEndedFlowsGoFirst) {
  PacketJoinOptions options;
  options.max_flows = 10;
  PacketJoin join(options);
  const auto learn = [&](std::uint64_t i, bool ended) {
    join.Learn(
        Flow(i + 1, 1, kHere, "198.51.100.7:" + std::to_string(1000 + i), 100, ended ? 101 : 0));
  };
  for (std::uint64_t i = 0; i < 10; ++i) learn(i, i % 2 == 0);
  for (std::uint64_t i = 10; i < 15; ++i) learn(i, false);
  EXPECT_EQ(join.stats().flows, 10U);
  EXPECT_EQ(join.stats().evicted_flows, 0U);
  EXPECT_THAT(join.OpenFlowsOf(ProcessId{1}), SizeIs(10));
  learn(99, false);
  EXPECT_EQ(join.stats().flows, 10U);
  EXPECT_EQ(join.stats().evicted_flows, 1U);
  // One tuple over and over does not fill the table either.
  for (std::uint64_t i = 0; i < 1000; ++i) {
    join.Learn(Flow(1000 + i, 1, kHere, "198.51.100.9:1", static_cast<std::int64_t>(i)));
  }
  EXPECT_LE(join.stats().flows, 10U);
}

// What came out, as "flow@ms" and the bytes.
class PacketHoldTest : public ::testing::Test {
 protected:
  void Hold(std::int64_t wall_ms, milliseconds now, const std::string& bytes = "x",
            std::uint32_t interface = 1) {
    TapPacket packet;
    packet.interface = interface;
    packet.wall_ns = wall_ms * 1'000'000;
    packet.direction = PacketDirection::kOut;
    packet.bytes = bytes;
    const Packet headers = Headers(kHere, kThere);
    join_.Hold(packet, &headers, 2, now, sink_);
  }
  PacketJoin join_;
  std::vector<std::string> out_;
  PacketJoin::Sink sink_ = [this](const TapPacket& packet, std::uint8_t lane,
                                  const JoinedNames& joined) {
    EXPECT_EQ(lane, 2);
    EXPECT_EQ(joined.destination, End(kThere).address);
    out_.push_back(std::to_string(joined.names.flow.value()) + "@" +
                   std::to_string(packet.wall_ns / 1'000'000) + std::string(packet.bytes));
  };
};

TEST_F(PacketHoldTest, PacketsOfAFlowThatIsLearntLateHaveItsName) {
  Hold(100'000, milliseconds(0));
  join_.Release(milliseconds(299), sink_);
  EXPECT_THAT(out_, IsEmpty());
  join_.Learn(Flow(1, 10, kHere, kThere, 100));
  join_.Release(milliseconds(300), sink_);
  EXPECT_THAT(out_, ElementsAre("1@100000x"));
  EXPECT_EQ(join_.stats().named, 1U);
}

TEST_F(PacketHoldTest, WhatStaysUnknownIsGivenOutWithoutAName) {
  Hold(100'000, milliseconds(0));
  join_.Release(milliseconds(300), sink_);
  EXPECT_THAT(out_, ElementsAre("0@100000x"));
  EXPECT_EQ(join_.stats().unnamed, 1U);
  EXPECT_EQ(join_.stats().held_bytes, 0U);
}

TEST_F(PacketHoldTest, HandlesThatReportInTurnsComeOutInOrderOfTime) {
  for (const std::int64_t ms : {1, 4, 7}) Hold(ms, milliseconds(10));
  for (const std::int64_t ms : {2, 3, 9}) Hold(ms, milliseconds(150), "longer than before", 2);
  join_.Release(milliseconds(310), sink_);
  EXPECT_THAT(out_, ElementsAre("0@1x"));
  out_.clear();
  join_.Release(milliseconds(450), sink_);
  EXPECT_THAT(out_, ElementsAre("0@2longer than before", "0@3longer than before", "0@4x", "0@7x",
                                "0@9longer than before"));
}

TEST(PacketJoinTest, HoldsABoundedNumberOfPacketsAndBytes) {
  for (const bool by_bytes : {false, true}) {
    PacketJoinOptions options;
    options.max_packets = by_bytes ? 1000 : 4;
    options.max_bytes = by_bytes ? 400 : 1U << 20;
    PacketJoin join(options);
    std::vector<std::int64_t> out;
    const auto sink = [&](const TapPacket& p, std::uint8_t, const JoinedNames&) {
      out.push_back(p.wall_ns);
    };
    const std::string bytes(100, 'x');
    for (std::int64_t i = 0; i < 20; ++i) {
      TapPacket packet;
      packet.wall_ns = i;
      packet.bytes = bytes;
      join.Hold(packet, nullptr, 0, milliseconds(0), sink);
      EXPECT_LE(join.stats().held_packets, 4U);
      EXPECT_LE(join.stats().held_bytes, 400U);
    }
    EXPECT_THAT(out, SizeIs(16));
    EXPECT_EQ(join.stats().released_early, 16U);
    join.ReleaseAll(sink);
    EXPECT_THAT(out, SizeIs(20));
    EXPECT_TRUE(std::is_sorted(out.begin(), out.end()));
  }
}

TEST(LaneTest, LoginsNamesAndFirstContactsHaveTheirOwn) {
  const auto tcp = [](std::uint16_t source, std::uint16_t destination, std::uint8_t flags) {
    Packet packet;
    packet.protocol = IPPROTO_TCP;
    packet.source_port = source;
    packet.destination_port = destination;
    packet.tcp_flags = flags;
    return packet;
  };
  Packet dns;
  dns.protocol = IPPROTO_UDP;
  dns.source_port = 53;
  Packet udp_22 = dns;
  udp_22.source_port = 22;
  Packet tunnelled = tcp(40000, 22, kTcpAck);
  tunnelled.tunnel = Tunnel::kVxlan;
  const struct {
    const char* what;
    Packet packet;
    RingLane lane;
  } cases[] = {
      {"ssh in", tcp(40000, 22, kTcpAck), RingLane::kLogin},
      {"ssh out", tcp(2222, 40000, kTcpSyn), RingLane::kLogin},
      {"bulk", tcp(40000, 443, kTcpAck), RingLane::kGeneral},
      {"syn", tcp(40000, 443, kTcpSyn), RingLane::kContact},
      {"syn-ack", tcp(443, 40000, kTcpSyn | kTcpAck), RingLane::kContact},
      {"dns", dns, RingLane::kContact},
      {"port 22 of UDP", udp_22, RingLane::kGeneral},
      {"ssh in a tunnel", tunnelled, RingLane::kGeneral},
  };
  for (const auto& c : cases) EXPECT_EQ(LaneOf(&c.packet, {22, 2222}), c.lane) << c.what;
  EXPECT_EQ(LaneOf(nullptr, {22}), RingLane::kGeneral);
}

}  // namespace
}  // namespace culprit
