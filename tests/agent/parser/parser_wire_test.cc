// SPDX-License-Identifier: Apache-2.0
#include "agent/parser/parser_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "agent/names/name_observer.h"
#include "tests/support/payload_builder.h"

namespace culprit {
namespace {

using namespace testing;

constexpr BootTime kAt = BootTime(std::chrono::seconds(77));

Packet AnyPacket(std::string_view payload, std::uint8_t protocol = 6) {
  Packet packet;
  packet.source = IpAddress::Parse("192.0.2.1").value();
  packet.destination = IpAddress::Parse("2001:db8::7").value();
  packet.source_port = 40'000;
  packet.destination_port = protocol == 6 ? 443 : 53;
  packet.protocol = protocol;
  packet.tcp_flags = kTcpAck | kTcpPsh;
  packet.tcp_seq = 0xfffffffe;
  packet.tcp_ack = 0x01020304;
  packet.payload = payload;
  packet.payload_bytes = static_cast<std::uint32_t>(payload.size());
  return packet;
}

ObservationEvent Event(Observation what) {
  return {kAt,
          Endpoint::Parse("192.0.2.1:40000").value(),
          Endpoint::Parse("[2001:db8::7]:443").value(),
          6,
          true,
          std::move(what)};
}

DnsMessage BigAnswer() {
  DnsMessage dns;
  dns.id = 0xabcd;
  dns.response = true;
  dns.opcode = dns.rcode = 15;
  dns.name = std::string(kMaxNameLength, 'n');
  dns.type = 0xfffe;
  dns.name_bytes = 255;
  dns.message_bytes = 65'535;
  for (std::size_t i = 0; i < kMaxDnsAnswers; ++i) {
    dns.answers.push_back({std::string(kMaxNameLength, 'a'), 28, 0xfffffffd,
                           IpAddress::Parse("2001:db8::9").value(),
                           std::string(kMaxNameLength, 't')});
  }
  return dns;
}

std::string Reply(const std::vector<ObservationEvent>& events, const ParserReport& report = {}) {
  ReplyWriter writer;
  for (const ObservationEvent& event : events) EXPECT_TRUE(writer.Add(event));
  return std::string(writer.Finish(report));
}

// Whether reading and writing again gives the same bytes, and so nothing was lost or added.
void ExpectRoundTrip(const std::vector<ObservationEvent>& events) {
  const std::string bytes = Reply(events);
  const auto reply = ReadReply(bytes);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->observations.size(), events.size());
  EXPECT_EQ(Reply(reply->observations), bytes);
}

// ---- Samples ----

TEST(ParserWireTest, ASampleArrivesAsItWasOffered) {
  SampleBatch batch;
  ASSERT_TRUE(batch.Add(AnyPacket("first"), kAt));
  Packet cut = AnyPacket("second", 17);
  cut.payload_bytes = 1'000;
  ASSERT_TRUE(batch.Add(cut, kAt + std::chrono::nanoseconds(1)));
  EXPECT_EQ(batch.count(), 2U);
  std::vector<std::string> seen;
  ASSERT_TRUE(ReadSamples(batch.bytes(), [&seen](const Packet& p, BootTime at) {
    seen.push_back(p.source.ToString() + "|" + p.destination.ToString() + "|" +
                   std::to_string(p.source_port) + ">" + std::to_string(p.destination_port) + "|" +
                   std::to_string(p.protocol) + "|" + std::to_string(p.tcp_flags) + "|" +
                   std::to_string(p.tcp_seq) + "|" + std::to_string(p.tcp_ack) + "|" +
                   std::to_string(p.payload_bytes) + "|" + std::string(p.payload) + "|" +
                   std::to_string((at - kAt).count()));
  }));
  EXPECT_THAT(seen, ::testing::ElementsAre(
                        "192.0.2.1|2001:db8::7|40000>443|6|24|4294967294|16909060|5|first|0",
                        "192.0.2.1|2001:db8::7|40000>53|17|24|4294967294|16909060|1000|second|1"));
}

TEST(ParserWireTest, ALongPayloadIsCutAndAFullBatchRefusesMore) {
  SampleBatch batch;
  const std::string payload(60'000, 'x');
  ASSERT_TRUE(batch.Add(AnyPacket(payload), kAt));
  const std::string before(batch.bytes());
  EXPECT_FALSE(batch.Add(AnyPacket(payload), kAt));
  EXPECT_EQ(batch.bytes(), before);
  EXPECT_EQ(batch.count(), 1U);
  EXPECT_TRUE(ReadSamples(batch.bytes(), [](const Packet& p, BootTime) {
    EXPECT_EQ(p.payload.size(), kMaxSamplePayload);
    EXPECT_EQ(p.payload_bytes, 60'000U);
  }));
  batch.Clear();
  EXPECT_EQ(batch.count(), 0U);
  EXPECT_TRUE(batch.Add(AnyPacket(payload), kAt));
}

TEST(ParserWireTest, ABatchThatIsCutAnywhereButBetweenSamplesIsRefused) {
  SampleBatch batch;
  ASSERT_TRUE(batch.Add(AnyPacket("hello"), kAt));
  const std::size_t first = batch.bytes().size();
  ASSERT_TRUE(batch.Add(AnyPacket("world"), kAt));
  for (std::size_t n = 0; n < batch.bytes().size(); ++n) {
    const std::string cut(batch.bytes().substr(0, n));
    const bool whole = n == 2 || n == first;
    EXPECT_EQ(ReadSamples(cut, [](const Packet&, BootTime) {}), whole) << n;
  }
}

// ---- Replies ----

TEST(ParserWireTest, EveryKindOfObservationArrivesAsItWas) {
  DnsMessage query;
  query.name = "a\\x00\\x20\\x2e\\x5cb.example";  // as AppendNameText writes a blank
  query.multicast = query.truncated = true;
  ExpectRoundTrip({Event(query), Event(BigAnswer())});
  ExpectRoundTrip({Event(ServerName{NameSource::kTlsSni, "", {}}),
                   Event(ServerName{NameSource::kQuicSni, "a.example", {"h3", ""}}),
                   Event(ServerName{NameSource::kHttpHost, std::string(kMaxNameLength, 'a'),
                                    std::vector<std::string>(kMaxAlpn, "\\xff")})});
  ExpectRoundTrip({Event(ServerName{NameSource::kStratum, "4AbC.rig\\x201", {}}),
                   Event(ServerName{NameSource::kStratum, "", {}})});
  EXPECT_FALSE(ReadReply(Reply({Event(ServerName{NameSource::kTlsSni, "A.example", {}})})));
  ExpectRoundTrip({Event(ProxyRequest{NameSource::kSocks, "2001:db8::1", 443, 3}),
                   Event(ProxyRequest{NameSource::kHttpConnect, "a.example", 0, 1})});
  ExpectRoundTrip({});
}

TEST(ParserWireTest, TheReportArrivesAsItWas) {
  const ParserReport report{1, 2, 3, 4, 5, UINT64_MAX, 7, 8};
  const auto reply = ReadReply(Reply({}, report));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->report, report);
}

TEST(ParserWireTest, FieldsOfADnsMessageKeepTheirPlaces) {
  const auto reply = ReadReply(Reply({Event(BigAnswer())}));
  ASSERT_TRUE(reply);
  const ObservationEvent& event = reply->observations.at(0);
  EXPECT_EQ(event.at, kAt);
  EXPECT_EQ(event.source.ToString() + " " + event.destination.ToString(),
            "192.0.2.1:40000 [2001:db8::7]:443");
  EXPECT_TRUE(event.from_client);
  const auto& dns = std::get<DnsMessage>(event.what);
  EXPECT_TRUE(dns.response && !dns.truncated && !dns.multicast);
  EXPECT_EQ(dns.id, 0xabcd);
  EXPECT_EQ(dns.type, 0xfffe);
  EXPECT_EQ(dns.message_bytes, 65'535U);
  ASSERT_EQ(dns.answers.size(), kMaxDnsAnswers);
  EXPECT_EQ(dns.answers.back().ttl_s, 0xfffffffdU);
  EXPECT_EQ(dns.answers.back().address.ToString(), "2001:db8::9");
  EXPECT_EQ(dns.answers.back().name.front(), 'a');
  EXPECT_EQ(dns.answers.back().target.front(), 't');
}

TEST(ParserWireTest, TheBiggestObservationHasRoomAndAFullReplyRefusesMore) {
  ReplyWriter writer;
  EXPECT_TRUE(writer.empty());
  ASSERT_TRUE(writer.Add(Event(BigAnswer())));
  const std::string before(writer.Finish({}));
  EXPECT_FALSE(writer.Add(Event(BigAnswer())));
  EXPECT_EQ(writer.Finish({}), before);
  EXPECT_FALSE(writer.empty());
  writer.Clear();
  EXPECT_TRUE(writer.empty());
  EXPECT_TRUE(writer.Add(Event(BigAnswer())));
}

TEST(ParserWireTest, AReplyThatIsCutAnywhereButBetweenObservationsIsRefused) {
  const ObservationEvent one = Event(ServerName{NameSource::kTlsSni, "a.example", {"h2"}});
  const std::string none = Reply({}), first = Reply({one}), both = Reply({one, one});
  for (std::size_t n = 0; n < both.size(); ++n) {
    const bool whole = n == none.size() || n == first.size();
    EXPECT_EQ(ReadReply(std::string(both.substr(0, n))).has_value(), whole) << n;
  }
  EXPECT_FALSE(ReadReply(both + "x"));
  EXPECT_FALSE(ReadReply(none + std::string(kMaxParserDatagram, '\0')));
}

TEST(ParserWireTest, AValueOutOfItsBoundsIsRefused) {
  const std::size_t begin = Reply({}).size();
  // Offsets within an observation.
  constexpr std::size_t kTime = 0, kProtocol = 44, kFromClient = 45, kKind = 46, kBody = 47;
  DnsMessage dns;
  dns.name = "ab";
  const std::string of_dns = Reply({Event(dns)});
  const std::string of_name = Reply({Event(ServerName{NameSource::kTlsSni, "ab", {}})});
  const std::string of_proxy = Reply({Event(ProxyRequest{NameSource::kSocks, "ab", 1, 1})});
  struct Case {
    const char* what;
    std::string reply;
    std::size_t at;
    int value;
  };
  const Case cases[] = {
      {"version", of_dns, 1 - begin, 2},
      {"time before the boot", of_dns, kTime, 0xff},
      {"time without bounds", of_dns, kTime, 0x40},
      {"protocol", of_dns, kProtocol, 1},
      {"from client", of_dns, kFromClient, 2},
      {"kind", of_dns, kKind, 4},
      {"kind of another", of_name, kKind, 1},
      {"DNS flags", of_dns, kBody + 2, 8},
      {"DNS opcode", of_dns, kBody + 3, 16},
      {"DNS rcode", of_dns, kBody + 4, 16},
      {"DNS name past the end", of_dns, kBody + 5, 200},
      {"DNS encoded name", of_dns, kBody + 10, 1},
      {"DNS answers", of_dns, kBody + 14, 33},
      {"source of a name", of_name, kBody, 1},
      {"source of a name that is a proxy's", of_name, kBody, 5},
      {"name too long", of_name, kBody + 1, 254},
      {"protocols", of_name, kBody + 4, 9},
      {"source of a proxy", of_proxy, kBody, 4},
      {"command", of_proxy, kBody + 6, 4},
      {"no command", of_proxy, kBody + 6, 0},
  };
  for (const Case& c : cases) {
    std::string reply = c.reply;
    ASSERT_TRUE(ReadReply(reply)) << c.what;
    reply[begin + c.at] = static_cast<char>(c.value);
    EXPECT_FALSE(ReadReply(reply)) << c.what;
  }
}

TEST(ParserWireTest, OnlyTheAlphabetOfNamesIsTaken) {
  const std::pair<const char*, bool> cases[] = {{"a-_ .example:{}", true},
                                                {"\\x00\\xff\\x2e\\x5c", true},
                                                {"A.example", false},
                                                {"a\nb", false},
                                                {"a\x1b[2J", false},
                                                {"caf\xc3\xa9", false},
                                                {"a\\", false},
                                                {"a\\x", false},
                                                {"a\\x0", false},
                                                {"a\\n", false},
                                                {"\\xFF", false},
                                                {"\\x61", false},
                                                {"\x7f", false}};
  for (const auto& [name, taken] : cases) {
    EXPECT_EQ(ReadReply(Reply({Event(ServerName{NameSource::kTlsSni, name, {}})})).has_value(),
              taken)
        << name;
  }
}

TEST(ParserWireTest, WhatTheObserverTellsIsAlwaysTaken) {
  std::string labels;
  for (int i = 0; i < 3; ++i)
    labels += Counted8(std::string("\x80\\.A", 4) + std::string(58, '\1'));
  const std::string dns = DnsHeader(0x8580, 1, 40) + labels + U8(0) + Be16(1) + Be16(1);
  std::string answers;
  for (int i = 0; i < 40; ++i) answers += DnsRecord("\xc0\x0c", 5, "\xc0\x0c");
  NameObserver observer;
  std::vector<ObservationEvent> told;
  const auto sink = [&told](const Packet&, bool from_client, const Observation& what) {
    told.push_back(Event(what));
    told.back().from_client = from_client;
  };
  std::uint16_t port = 1'000;
  const auto offer = [&](const std::string& payload, std::uint8_t protocol) {
    Packet packet = AnyPacket(payload, protocol);
    packet.source_port = ++port;
    observer.Observe(packet, 0, sink);
  };
  offer(dns + answers, 17);
  offer(TlsRecord(ClientHello(std::string(255, '\xfe'), {std::string(255, '\x02'), "H2"})), 6);
  offer("GET / HTTP/1.1\r\nHost: \xff\\x.example:80\r\n\r\n", 6);
  offer("CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", 6);
  ASSERT_EQ(told.size(), 4U);
  ExpectRoundTrip(told);
}

}  // namespace
}  // namespace culprit
