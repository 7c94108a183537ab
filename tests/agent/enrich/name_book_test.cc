// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/name_book.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>
#include <vector>

namespace culprit {
namespace {

using std::chrono::seconds;

Endpoint At(const char* text) { return *Endpoint::Parse(text); }
constexpr BootTime kStart = BootTimeFromNs(1'000'000'000'000);
constexpr ProcessId kCurl{11}, kSshd{12}, kResolver{13};

FlowRow Row(std::uint64_t flow, ProcessId process, const char* local, const char* remote,
            std::uint8_t protocol = IPPROTO_TCP, BootTime start = kStart) {
  FlowRow row;
  row.flow = FlowId{flow};
  row.process = process;
  row.local = At(local);
  row.remote = At(remote);
  row.protocol = protocol;
  row.direction = Direction::kOut;
  row.start = row.last = row.emitted = start;
  return row;
}

class NameBookTest : public ::testing::Test {
 protected:
  void See(const char* source, const char* destination, Observation what,
           std::uint8_t protocol = IPPROTO_TCP, BootTime at = kStart) {
    book_.On(ObservationEvent{at, At(source), At(destination), protocol, true, std::move(what)});
  }
  // The process behind `client` asks for `name` and is given `address`.
  void Resolve(const char* client, const char* name, const char* address, BootTime at = kStart,
               std::uint32_t ttl_s = 300) {
    DnsMessage question;
    question.name = name;
    question.type = 1;
    question.message_bytes = 40;
    See(client, "10.0.0.2:53", question, IPPROTO_UDP, at);
    DnsMessage answer = question;
    answer.response = true;
    answer.answers.push_back({name, 1, ttl_s, *IpAddress::Parse(address), ""});
    answer.message_bytes = 56;
    See("10.0.0.2:53", client, answer, IPPROTO_UDP, at);
  }
  RecordBatch Take() {
    RecordBatch batch;
    book_.Take(&batch, 1000);
    return batch;
  }

  NameBook book_;
};

TEST_F(NameBookTest, ANameInTheFlowIsThatFlowsWhicheverComesFirst) {
  const ServerName hello{NameSource::kTlsSni, "www.example.com", {"h2", "http/1.1"}};
  book_.On(Row(1, kCurl, "10.0.0.5:40000", "203.0.113.9:443"));
  See("10.0.0.5:40000", "203.0.113.9:443", hello);
  See("10.0.0.5:40001", "203.0.113.9:443", hello);
  book_.On(Row(2, kSshd, "10.0.0.5:40001", "203.0.113.9:443"));
  const RecordBatch batch = Take();
  ASSERT_EQ(batch.names.size(), 2U);
  EXPECT_EQ(batch.names[0].flow, FlowId{1});
  EXPECT_EQ(batch.names[0].process, kCurl);
  EXPECT_EQ(batch.names[0].name, "www.example.com");
  EXPECT_EQ(batch.names[0].alpn, "h2,http/1.1");
  EXPECT_EQ(batch.names[0].confidence, NameConfidence::kInFlow);
  EXPECT_EQ(batch.names[1].flow, FlowId{2});
  EXPECT_EQ(batch.names[1].process, kSshd);
}

TEST_F(NameBookTest, BothEndsOfALoopbackFlowAreNamedInWhateverOrderTheyCome) {
  const ServerName hello{NameSource::kTlsSni, "both.example", {}};
  for (const bool client_first : {true, false}) {
    NameBook book;
    const FlowRow client = Row(1, kCurl, "127.0.0.1:40000", "127.0.0.1:443");
    const FlowRow server = Row(2, kSshd, "127.0.0.1:443", "127.0.0.1:40000");
    book.On(ObservationEvent{kStart, client.local, client.remote, IPPROTO_TCP, true, hello});
    book.On(client_first ? client : server);
    book.On(client_first ? server : client);
    RecordBatch batch;
    book.Take(&batch, 10);
    ASSERT_EQ(batch.names.size(), 2U);
    EXPECT_NE(batch.names[0].flow, batch.names[1].flow);
    EXPECT_NE(batch.names[0].process, batch.names[1].process);
  }
}

TEST_F(NameBookTest, WhoAnswersOnThisHostHasNotAsked) {
  for (const bool client_first : {true, false}) {
    NameBook book;
    const FlowRow client = Row(1, kCurl, "127.0.0.1:40000", "127.0.0.53:53", IPPROTO_UDP);
    const FlowRow server = Row(2, kResolver, "127.0.0.53:53", "127.0.0.1:40000", IPPROTO_UDP);
    DnsMessage message;
    message.name = "www.example.com";
    book.On(ObservationEvent{kStart, client.local, client.remote, IPPROTO_UDP, true, message});
    book.On(client_first ? client : server);
    message.response = true;
    book.On(ObservationEvent{kStart, server.local, server.remote, IPPROTO_UDP, false, message});
    book.On(client_first ? server : client);
    RecordBatch batch;
    book.Take(&batch, 10);
    ASSERT_EQ(batch.dns.size(), 1U);
    EXPECT_EQ(batch.dns[0].process, kCurl);
    EXPECT_EQ(batch.dns[0].questions, 1U);
    EXPECT_EQ(batch.dns[0].server, server.local);
  }
}

TEST_F(NameBookTest, AQuestionThatComesBetweenTheRowsOfItsTwoEndsIsItsAskers) {
  NameBook book;
  const FlowRow client = Row(1, kCurl, "127.0.0.1:40000", "127.0.0.53:53", IPPROTO_UDP);
  DnsMessage message;
  message.name = "www.example.com";
  message.response = true;
  book.On(Row(2, kResolver, "127.0.0.53:53", "127.0.0.1:40000", IPPROTO_UDP));
  book.On(ObservationEvent{kStart, client.remote, client.local, IPPROTO_UDP, false, message});
  book.On(client);
  RecordBatch batch;
  book.Take(&batch, 10);
  ASSERT_EQ(batch.dns.size(), 1U);
  EXPECT_EQ(batch.dns[0].process, kCurl);
}

TEST_F(NameBookTest, AnAddressIsNamedAsItsOwnProcessAskedBeforeAsAnotherDid) {
  book_.On(Row(1, kCurl, "10.0.0.5:50001", "10.0.0.2:53", IPPROTO_UDP));
  book_.On(Row(2, kSshd, "10.0.0.5:50002", "10.0.0.2:53", IPPROTO_UDP));
  Resolve("10.0.0.5:50001", "mine.example", "203.0.113.9");
  Resolve("10.0.0.5:50002", "theirs.example", "203.0.113.9");
  book_.On(Row(3, kCurl, "10.0.0.5:40000", "203.0.113.9:443", IPPROTO_TCP, kStart + seconds(1)));
  book_.On(
      Row(4, kResolver, "10.0.0.5:40001", "203.0.113.9:443", IPPROTO_TCP, kStart + seconds(1)));
  const RecordBatch batch = Take();
  ASSERT_EQ(batch.names.size(), 2U);
  EXPECT_EQ(batch.names[0].name, "mine.example");
  EXPECT_EQ(batch.names[0].confidence, NameConfidence::kProcessAsked);
  EXPECT_EQ(batch.names[1].name, "theirs.example");  // the newest that anybody asked for
  EXPECT_EQ(batch.names[1].confidence, NameConfidence::kOtherAsked);
}

TEST_F(NameBookTest, AnAnswerThatIsTooOldNamesNothing) {
  Resolve("10.0.0.5:50001", "old.example", "203.0.113.9", kStart, 100);
  book_.On(Row(1, kCurl, "10.0.0.5:40000", "203.0.113.9:80", IPPROTO_TCP, kStart + seconds(101)));
  EXPECT_TRUE(Take().names.empty());
  // A short TTL is outlived by programs that keep the answer.
  Resolve("10.0.0.5:50001", "short.example", "203.0.113.10", kStart, 1);
  book_.On(Row(2, kCurl, "10.0.0.5:40001", "203.0.113.10:80", IPPROTO_TCP, kStart + seconds(59)));
  EXPECT_EQ(Take().names.size(), 1U);
}

TEST_F(NameBookTest, WhatAClientAsksAProxyForIsKeptWithItsPort) {
  FlowRow inbound = Row(7, kSshd, "10.0.0.5:1080", "198.51.100.3:55555");
  inbound.direction = Direction::kIn;
  book_.On(inbound);
  See("198.51.100.3:55555", "10.0.0.5:1080",
      ProxyRequest{NameSource::kSocks, "victim.example", 25, 1});
  const RecordBatch batch = Take();
  ASSERT_EQ(batch.names.size(), 1U);
  EXPECT_EQ(batch.names[0].source, NameSource::kSocks);
  EXPECT_EQ(batch.names[0].name, "victim.example");
  EXPECT_EQ(batch.names[0].port, 25);
}

TEST_F(NameBookTest, ThatStratumIsSpokenIsKeptWithoutALoginToo) {
  book_.On(Row(7, kCurl, "10.0.0.5:40000", "203.0.113.9:3333"));
  See("10.0.0.5:40000", "203.0.113.9:3333", ServerName{NameSource::kStratum, "", {}});
  const RecordBatch batch = Take();
  ASSERT_EQ(batch.names.size(), 1U);
  EXPECT_EQ(batch.names[0].source, NameSource::kStratum);
}

TEST_F(NameBookTest, TheSameQuestionIsToldOnceAMinuteWithItsCount) {
  book_.On(Row(1, kCurl, "10.0.0.5:50001", "10.0.0.2:53", IPPROTO_UDP));
  for (int n = 0; n < 30; ++n)
    Resolve("10.0.0.5:50001", "again.example", "203.0.113.9", kStart + seconds(n));
  book_.Tick(kStart + seconds(61));
  const RecordBatch batch = Take();
  ASSERT_EQ(batch.dns.size(), 2U);
  EXPECT_EQ(batch.dns[0].questions, 1U);
  EXPECT_EQ(batch.dns[1].questions, 29U);
  EXPECT_EQ(batch.dns[1].query_bytes, 29U * 40);
  EXPECT_EQ(batch.dns[1].process, kCurl);
  EXPECT_EQ(batch.dns[1].server.ToString(), "10.0.0.2:53");
  EXPECT_EQ(batch.dns[1].answers, std::vector<std::string>{"203.0.113.9"});
}

TEST_F(NameBookTest, AQuestionWithoutAnAnswerIsToldAsSuch) {
  book_.On(Row(1, kCurl, "10.0.0.5:50001", "10.0.0.2:53", IPPROTO_UDP));
  DnsMessage question;
  question.name = "silent.example";
  question.type = 16;
  See("10.0.0.5:50001", "10.0.0.2:53", question, IPPROTO_UDP);
  EXPECT_TRUE(Take().dns.empty());
  book_.Tick(kStart + seconds(6));
  const RecordBatch batch = Take();
  ASSERT_EQ(batch.dns.size(), 1U);
  EXPECT_EQ(batch.dns[0].rcode, kNoAnswer);
  EXPECT_EQ(batch.dns[0].type, 16);
}

TEST_F(NameBookTest, AFloodOfQuestionsIsCountedWhereItIsNotTold) {
  book_.On(Row(1, kCurl, "10.0.0.5:50001", "10.0.0.2:53", IPPROTO_UDP));
  for (int n = 0; n < 1000; ++n) {
    Resolve("10.0.0.5:50001", ("x" + std::to_string(n) + ".tunnel.example").c_str(), "203.0.113.9");
  }
  Resolve("10.0.0.5:50001", "next.example", "203.0.113.9", kStart + seconds(2));
  const RecordBatch batch = Take();
  ASSERT_EQ(batch.dns.size(), 51U);
  EXPECT_EQ(batch.dns.back().name, "next.example");
  EXPECT_EQ(batch.dns.back().suppressed, 950U);
}

TEST(NameBookBounds, HoldWhateverIsSent) {
  NameBookLimits limits;
  limits.max_flows = limits.max_waiting = limits.max_addresses = limits.max_questions = 16;
  limits.max_pending = 16;
  NameBook book(limits);
  for (std::uint32_t n = 0; n < 5'000; ++n) {
    const std::string client = "10.0." + std::to_string(n >> 8) + "." + std::to_string(n & 255);
    ObservationEvent event;
    event.at = kStart;
    event.source = {*IpAddress::Parse(client), 5000};
    event.destination = At("203.0.113.9:443");
    event.protocol = IPPROTO_TCP;
    event.what = ServerName{NameSource::kTlsSni, "a.example", {}};
    book.On(event);
    book.On(Row(n + 1, kCurl, (client + ":5001").c_str(), "203.0.113.9:443"));
  }
  EXPECT_LE(book.pending(), 32U);
  EXPECT_GT(book.counters().dropped, 4'000U);
}

}  // namespace
}  // namespace culprit
