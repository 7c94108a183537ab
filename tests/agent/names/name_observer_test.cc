// SPDX-License-Identifier: Apache-2.0
#include "agent/names/name_observer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/payload_builder.h"

namespace culprit {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kSecond = 1'000'000'000;

std::string Describe(const Observation& observation) {
  if (const auto* dns = std::get_if<DnsMessage>(&observation)) {
    return (dns->response ? "answer " : "query ") + dns->name;
  }
  if (const auto* name = std::get_if<ServerName>(&observation)) {
    return std::to_string(static_cast<int>(name->source)) + " " + name->name;
  }
  const auto& request = std::get<ProxyRequest>(observation);
  return "proxy " + request.host + ":" + std::to_string(request.port);
}

// Two hosts that talk, and what the observer says of it: "c query a.example" for what went from
// client to server.
class Talk {
 public:
  explicit Talk(const NameLimits& limits = {}) : observer(limits) {}

  Packet Base(bool from_client) const {
    Packet packet;
    packet.ip_version = 4;
    packet.source = IpAddress::Parse(from_client ? "192.0.2.1" : "198.51.100.7").value();
    packet.destination = IpAddress::Parse(from_client ? "198.51.100.7" : "192.0.2.1").value();
    packet.source_port = from_client ? client_port : server_port;
    packet.destination_port = from_client ? server_port : client_port;
    return packet;
  }
  void Give(Packet packet, std::string_view payload, std::size_t cut_to = std::string::npos) {
    // Of its exact size, for the sanitizer.
    const std::string copy(payload.substr(0, cut_to));
    packet.payload = copy;
    packet.payload_bytes = static_cast<std::uint32_t>(payload.size());
    observer.Observe(packet, now, [&](const Packet&, bool from_client, const Observation& found) {
      said.push_back((from_client ? "c " : "s ") + Describe(found));
    });
  }
  void Tcp(bool from_client, std::uint32_t seq, std::string_view payload, unsigned flags = kTcpAck,
           std::uint32_t ack = 0) {
    Packet packet = Base(from_client);
    packet.protocol = 6;
    packet.tcp_seq = seq;
    packet.tcp_ack = ack;
    packet.tcp_flags = static_cast<std::uint8_t>(flags);
    Give(packet, payload);
  }
  void Udp(bool from_client, std::string_view payload, std::size_t cut_to = std::string::npos) {
    Packet packet = Base(from_client);
    packet.protocol = 17;
    Give(packet, payload, cut_to);
  }
  void Handshake(std::uint32_t client_seq = 999, std::uint32_t server_seq = 4'999) {
    Tcp(true, client_seq, "", kTcpSyn);
    Tcp(false, server_seq, "", kTcpSyn | kTcpAck, client_seq + 1);
  }

  NameObserver observer;
  std::uint16_t client_port = 40'000, server_port = 8'443;
  std::int64_t now = 1'000 * kSecond;
  std::vector<std::string> said;
};

TEST(NameObserverTest, AHelloOnAnyPortIsFoundWhereverItIsCut) {
  const std::string hello = TlsRecord(ClientHello("a.example", {"h2"}));
  for (std::size_t n = 1; n < hello.size(); ++n) {
    for (const bool in_order : {true, false}) {
      Talk talk;
      talk.Handshake();
      const auto at = static_cast<std::uint32_t>(1'000 + n);
      if (in_order) talk.Tcp(true, 1'000, hello.substr(0, n));
      talk.Tcp(true, at, hello.substr(n));
      if (!in_order) talk.Tcp(true, 1'000, hello.substr(0, n));
      ASSERT_THAT(talk.said, ElementsAre("c 2 a.example")) << n;
      EXPECT_EQ(talk.observer.held_bytes(), 0U);
    }
  }
}

TEST(NameObserverTest, ABigHelloOverSeveralSegmentsAroundTheEndOfSequenceNumbersIsFound) {
  const std::string hello = TlsRecord(ClientHello("a.example", {"h2"}, 3'000));
  Talk talk;
  talk.Handshake(0xfffffc00);
  std::uint32_t seq = 0xfffffc01;
  for (std::size_t at = 0; at < hello.size(); at += 1'000) {
    talk.Tcp(true, seq, hello.substr(at, 1'000));
    talk.Tcp(true, seq, hello.substr(at, 500));  // again
    seq += 1'000;
  }
  EXPECT_THAT(talk.said, ElementsAre("c 2 a.example"));
}

TEST(NameObserverTest, WithoutAHandshakeTheStreamBeginsWhereItIsFirstSeen) {
  Talk talk;
  const std::string hello = TlsRecord(ClientHello("a.example"));
  talk.Tcp(true, 77, hello.substr(0, 30));
  talk.Tcp(true, 50, std::string(20, 'x'));  // older
  talk.Tcp(true, 107, hello.substr(30));
  EXPECT_THAT(talk.said, ElementsAre("c 2 a.example"));
}

TEST(NameObserverTest, AMinersLoginIsFoundBehindThePoolsAnswer) {
  Talk talk;
  talk.Handshake();
  const std::string subscribe = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";
  talk.Tcp(true, 1'000, subscribe);
  talk.Tcp(false, 5'000, "{\"id\":1,\"result\":[[[\"mining.notify\",\"a\"]],\"b\",4]}\n");
  EXPECT_THAT(talk.said, IsEmpty());
  talk.Tcp(true, static_cast<std::uint32_t>(1'000 + subscribe.size()),
           "{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"Wallet.rig\",\"x\"]}\n");
  EXPECT_THAT(talk.said, ElementsAre("c 7 Wallet.rig"));
  EXPECT_EQ(talk.observer.held_bytes(), 0U);
}

TEST(NameObserverTest, WhoOnlySubscribedIsToldAtTheEnd) {
  Talk talk;
  talk.Handshake();
  const std::string subscribe = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";
  talk.Tcp(true, 1'000, subscribe);
  talk.Tcp(true, static_cast<std::uint32_t>(1'000 + subscribe.size()), "", kTcpFin | kTcpAck);
  EXPECT_THAT(talk.said, ElementsAre("c 7 "));
}

TEST(NameObserverTest, EveryKindIsTold) {
  const std::string socks =
      std::string("\x05\x01\0\x05\x01\0\x03", 7) + Counted8("c.example") + Be16(80);
  const std::pair<std::string, const char*> cases[] = {
      {TlsRecord(ClientHello("")), "c 2 "},
      {"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", "c 4 b.example"},
      {"CONNECT b.example:443 HTTP/1.1\r\n\r\n", "c proxy b.example:443"},
      {socks, "c proxy c.example:80"},
      {"{\"method\":\"mining.subscribe\"}\n{\"method\":\"mining.authorize\",\"params\":[\"W.1\"]}\n",
       "c 7 W.1"},
  };
  for (const auto& [bytes, said] : cases) {
    Talk talk;
    talk.Handshake();
    talk.Tcp(true, 1'000, bytes);
    EXPECT_THAT(talk.said, ElementsAre(said));
  }
}

TEST(NameObserverTest, ADecidedFlowIsNotLookedAtAgain) {
  Talk talk;
  talk.Handshake();
  const std::string get = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
  talk.Tcp(true, 1'000, get);
  talk.Tcp(false, 5'000, "HTTP/1.1 200 OK\r\n\r\n");
  talk.Tcp(true, static_cast<std::uint32_t>(1'000 + get.size()), get);
  EXPECT_EQ(talk.said.size(), 1U);
  // A new connection of the same ports is another flow; its SYN sent again is not.
  talk.Handshake(70'000);
  talk.Tcp(true, 70'001, get);
  talk.Tcp(true, 70'000, "", kTcpSyn);
  talk.Tcp(true, 70'001, get);
  EXPECT_EQ(talk.said.size(), 2U);
  // Nor need the SYN itself have been seen.
  talk.Tcp(false, 90'000, "", kTcpSyn | kTcpAck, 80'001);
  talk.Tcp(true, 80'001, get);
  EXPECT_EQ(talk.said.size(), 3U);
}

TEST(NameObserverTest, BehindAProxysAnswerTheInnerNameIsFoundToo) {
  Talk talk;
  talk.server_port = 1080;
  talk.Handshake();
  const std::string greeting("\x05\x01\0", 3);
  const std::string request =
      std::string("\x05\x01\0\x01", 4) + AddressBytes("203.0.113.9") + Be16(443);
  const std::string hello = TlsRecord(ClientHello("inner.example"));
  talk.Tcp(true, 1'000, greeting);
  talk.Tcp(false, 5'000, std::string("\x05\0", 2));
  talk.Tcp(true, 1'003, request);
  talk.Tcp(false, 5'002, std::string("\x05\0\0\x01\0\0\0\0\0\0", 10));
  talk.Tcp(true, 1'013, hello.substr(0, 9));
  talk.Tcp(true, 1'022, hello.substr(9));
  EXPECT_THAT(talk.said, ElementsAre("c proxy 203.0.113.9:443", "c 2 inner.example"));
}

TEST(NameObserverTest, DnsOverUdpIsToldInBothDirections) {
  Talk talk;
  talk.server_port = 53;
  talk.Udp(true, DnsQuery("a.example"));
  talk.Udp(false, DnsHeader(0x8180, 1, 0) + DnsName("a.example") + Be32(0x00010001));
  talk.Udp(true, "no DNS");
  EXPECT_THAT(talk.said, ElementsAre("c query a.example", "s answer a.example"));
  EXPECT_EQ(talk.observer.counters().dns_messages, 2U);
  EXPECT_EQ(talk.observer.counters().dns_malformed, 1U);
}

TEST(NameObserverTest, ADnsMessageKnowsItsLengthAndItsPort) {
  Talk talk;
  talk.server_port = talk.client_port = 5353;
  const std::string query = DnsQuery("a.local") + Zeros(100);
  Packet packet = talk.Base(true);
  packet.protocol = 17;
  packet.payload = std::string_view(query).substr(0, 30);
  packet.payload_bytes = static_cast<std::uint32_t>(query.size());
  int told = 0;
  talk.observer.Observe(packet, talk.now, [&](const Packet&, bool, const Observation& found) {
    ++told;
    const auto& message = std::get<DnsMessage>(found);
    EXPECT_TRUE(message.multicast);
    EXPECT_EQ(message.message_bytes, query.size());
  });
  EXPECT_EQ(told, 1);
}

TEST(NameObserverTest, DnsOverTcpMayHaveSeveralMessagesInASegmentAndOneInSeveral) {
  Talk talk;
  talk.server_port = 53;
  talk.Handshake();
  const std::string stream = Counted16(DnsQuery("a.example")) + Counted16(DnsQuery("b.example")) +
                             Counted16(DnsQuery("c.example"));
  talk.Tcp(true, 1'000, stream.substr(0, 80));
  talk.Tcp(true, 1'080, stream.substr(80, 1));
  talk.Tcp(true, 1'081, stream.substr(81));
  talk.Tcp(false, 5'000, Counted16(DnsHeader(0x8180, 1, 0) + DnsName("a.example") + Be32(1)));
  EXPECT_THAT(talk.said, ElementsAre("c query a.example", "c query b.example", "c query c.example",
                                     "s answer a.example"));
}

TEST(NameObserverTest, DnsOverTcpGoesOnAsLongAsTheStream) {
  Talk talk;
  talk.server_port = 53;
  talk.Handshake();
  const std::string message = Counted16(DnsQuery(std::string(60, 'a') + ".example"));
  std::uint32_t seq = 1'000;
  const std::size_t count = 3 * kStreamHeadBytes / message.size();
  for (std::size_t i = 0; i < count; ++i) {
    talk.Tcp(true, seq, message.substr(0, 9));
    talk.Tcp(true, seq + 9, message.substr(9));
    seq += static_cast<std::uint32_t>(message.size());
  }
  EXPECT_EQ(talk.said.size(), count);
}

TEST(NameObserverTest, AnAnswerToAClientThatClosedItsSideIsTold) {
  Talk talk;
  talk.server_port = 53;
  talk.Handshake();
  talk.Tcp(true, 1'000, Counted16(DnsQuery("a.example")), kTcpAck | kTcpFin);
  talk.Tcp(false, 5'000, Counted16(DnsHeader(0x8180, 1, 0) + DnsName("a.example") + Be32(1)));
  EXPECT_THAT(talk.said, ElementsAre("c query a.example", "s answer a.example"));
}

TEST(NameObserverTest, QuicOnAnyPortIsFound) {
  Talk talk;
  const std::string hello = ClientHello("a.example", {"h3"}, 1'200);
  talk.Udp(true, QuicInitial(CryptoFrame(0, hello.substr(0, 1'000))));
  talk.Udp(false, QuicInitial("", {.connection = ""}));
  EXPECT_GT(talk.observer.held_bytes(), 0U);
  talk.Udp(true, QuicInitial(CryptoFrame(1'000, hello.substr(1'000)), {.number = 3}));
  talk.Udp(true, QuicInitial(CryptoFrame(0, hello), {.number = 4}));
  EXPECT_THAT(talk.said, ElementsAre("c 3 a.example"));
  EXPECT_EQ(talk.observer.held_bytes(), 0U);
}

TEST(NameObserverTest, QuicThatNeverEndsIsGivenUp) {
  Talk talk;
  for (int i = 0; i < 2 * kMaxQuicDatagrams; ++i) {
    talk.Udp(true, QuicInitial(CryptoFrame(0, ClientHello("a.example").substr(0, 20))));
  }
  EXPECT_EQ(talk.observer.counters().over_budget, 1U);
  EXPECT_EQ(talk.observer.held_bytes(), 0U);
}

TEST(NameObserverTest, AStreamThatNeverBecomesAnythingIsGivenUp) {
  Talk talk;
  talk.Handshake();
  std::uint32_t seq = 1'000;
  talk.Tcp(true, seq, "GET /");
  for (int i = 0; i < 2 * kMaxNameSegments; ++i) talk.Tcp(true, seq += 5, "aaaaa");
  EXPECT_EQ(talk.observer.counters().over_budget, 1U);
  EXPECT_EQ(talk.observer.held_bytes(), 0U);

  Talk big;
  big.Handshake();
  big.Tcp(true, 1'000, "GET /" + std::string(2 * kStreamHeadBytes, 'a'));
  EXPECT_EQ(big.observer.counters().over_budget, 1U);
  EXPECT_EQ(big.observer.held_bytes(), 0U);
}

TEST(NameObserverTest, OfAHelloThatTheCaptureCutTheNameIsTold) {
  const std::string hello = TlsRecord(ClientHello("a.example", {"h2"}));
  Talk talk;
  Packet packet = talk.Base(true);
  packet.protocol = 6;
  talk.Give(packet, hello, hello.size() - 3);
  EXPECT_THAT(talk.said, ElementsAre("c 2 a.example"));
  EXPECT_EQ(talk.observer.counters().cut, 1U);

  Talk early;
  early.Give(packet, hello, 40);
  EXPECT_THAT(early.said, IsEmpty());
  EXPECT_EQ(early.observer.held_bytes(), 0U);
}

TEST(NameObserverTest, OfAHelloThatIsBrokenOffTheNameIsTold) {
  const std::string hello = TlsRecord(ClientHello("a.example", {"h2"}));
  for (const bool by_client : {true, false}) {
    Talk talk;
    talk.Handshake();
    talk.Tcp(true, 1'000, hello.substr(0, hello.size() - 3));
    talk.Tcp(by_client, by_client ? 1'500 : 5'000, "", kTcpRst);
    EXPECT_THAT(talk.said, ElementsAre(by_client ? "c 2 a.example" : "s 2 a.example"));
    EXPECT_EQ(talk.observer.held_bytes(), 0U);
  }
}

TEST(NameObserverTest, StateIsBoundedInFlowsBytesAndTime) {
  NameLimits limits;
  limits.max_flows = 8;
  limits.max_bytes = 20'000;
  Talk talk(limits);
  for (std::uint16_t i = 0; i < 100; ++i) {
    talk.client_port = static_cast<std::uint16_t>(20'000 + i);
    talk.Tcp(true, 1'000, "GET /" + std::string(3'000, 'a'));
    talk.Tcp(true, 4'005, std::string(3'000, 'a'));
    EXPECT_LE(talk.observer.flows(), limits.max_flows);
    EXPECT_LE(talk.observer.held_bytes(), limits.max_bytes + 2 * kStreamHeadBytes);
  }
  EXPECT_GE(talk.observer.counters().undecided_dropped, 90U);
  // The newest is still known.
  talk.Tcp(true, 7'005, " HTTP/1.1\r\nHost: a.example\r\n");
  EXPECT_THAT(talk.said, ElementsAre("c 4 a.example"));

  talk.now += limits.idle_ns + 1;
  talk.client_port = 1;
  talk.Tcp(true, 1, "GET");
  EXPECT_EQ(talk.observer.flows(), 1U);
}

TEST(NameObserverTest, FlowsThatGrowLaterAreBoundedInBytesToo) {
  NameLimits limits;
  limits.max_bytes = 20'000;
  Talk talk(limits);
  for (const std::uint32_t seq : {1'000U, 1'100U, 3'100U}) {
    for (std::uint16_t i = 0; i < 100; ++i) {
      talk.client_port = static_cast<std::uint16_t>(20'000 + i);
      talk.Tcp(true, seq, seq == 1'000 ? "GET /" + std::string(95, 'a') : std::string(2'000, 'a'));
      EXPECT_LE(talk.observer.held_bytes(), limits.max_bytes + 2 * kStreamHeadBytes);
    }
  }
}

TEST(NameObserverTest, TimesThatStepBackOrAreWildAreHarmless) {
  Talk talk;
  for (const std::int64_t at : {INT64_MAX, INT64_MIN, std::int64_t{0}, INT64_MAX}) {
    talk.now = at;
    talk.Handshake();
    talk.Tcp(true, 1'000, "GET / ");
  }
  EXPECT_THAT(talk.said, IsEmpty());
}

TEST(NameObserverTest, LaterFragmentsAreNoPayload) {
  Talk talk;
  talk.server_port = talk.client_port = 0;
  Packet packet = talk.Base(true);
  packet.protocol = 17;
  packet.fragment = true;
  packet.source_port = 53;
  talk.Give(packet, DnsQuery("a.example"));
  EXPECT_THAT(talk.said, IsEmpty());
}

}  // namespace
}  // namespace culprit
