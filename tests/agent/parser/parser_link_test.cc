// SPDX-License-Identifier: Apache-2.0
// With the real program as child.
#include "agent/parser/parser_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/payload_builder.h"
#include "tests/support/subprocess.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using namespace testing;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Never to "all processes", which a parser that did not start would be.
bool Signal(int pid, int signal) { return pid > 0 && kill(pid, signal) == 0; }

std::string Describe(const ObservationEvent& event) {
  std::string out = event.source.ToString() + (event.from_client ? " asks " : " answers ");
  if (const auto* dns = std::get_if<DnsMessage>(&event.what)) {
    return out + dns->name + (dns->answers.empty() ? "" : " " + dns->answers[0].address.ToString());
  }
  if (const auto* name = std::get_if<ServerName>(&event.what)) return out + name->name;
  return out + "proxy for " + std::get<ProxyRequest>(event.what).host;
}

class ParserLinkTest : public ::testing::Test {
 protected:
  void Start(ParserOptions options = {}) {
    if (options.program.empty()) options.program = CULPRIT_PARSER_PROGRAM;
    auto link = ParserLink::Start(options);
    ASSERT_TRUE(link) << link.error().message;
    link_ = std::move(*link);
  }

  // Every connection has its own port.
  Packet Base(std::uint8_t protocol, bool from_client, std::uint16_t server_port,
              std::uint16_t client_port = 40'000) {
    Packet packet;
    packet.protocol = protocol;
    packet.source = IpAddress::Parse(from_client ? "192.0.2.1" : "198.51.100.7").value();
    packet.destination = IpAddress::Parse(from_client ? "198.51.100.7" : "192.0.2.1").value();
    packet.source_port = from_client ? client_port : server_port;
    packet.destination_port = from_client ? server_port : client_port;
    return packet;
  }
  void Offer(Packet packet, std::string_view payload) {
    packet.payload = payload;
    packet.payload_bytes = static_cast<std::uint32_t>(payload.size());
    link_->Offer(packet, ReadBootClock());
  }
  void OfferTcp(std::string_view payload, std::uint16_t server_port, std::uint32_t seq = 1'000) {
    Packet packet = Base(6, true, server_port);
    packet.tcp_flags = kTcpAck;
    packet.tcp_seq = seq;
    Offer(packet, payload);
  }
  void OfferQuery(const std::string& name) { Offer(Base(17, true, 53), DnsQuery(name)); }

  // Pumps until `done`, which must come true.
  template <class Done>
  bool Await(Done done) {
    const auto give_up = std::chrono::steady_clock::now() + seconds(60);
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      pollfd one{link_->poll_fd(), POLLIN, 0};
      poll(&one, 1, 1'000);
      link_->Pump([this](const ObservationEvent& event) {
        ++observed_;
        last_at_ = event.at;
        if (said_.size() < 100) said_.push_back(Describe(event));
      });
    }
    return true;
  }
  bool AwaitAll() {
    return Await([this] {
      const ParserStatus s = link_->status();
      return s.offered == s.processed + s.dropped && s.observations == observed_;
    });
  }

  std::unique_ptr<ParserLink> link_;
  std::vector<std::string> said_;
  std::uint64_t observed_ = 0;
  BootTime last_at_;
};

std::map<std::string, std::string> ProcStatus(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::map<std::string, std::string> out;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos) out[line.substr(0, colon)] = line.substr(colon + 1);
  }
  return out;
}

TEST_F(ParserLinkTest, NamesOfEveryKindComeBackFromTheChild) {
  Start();
  const std::string hello = TlsRecord(ClientHello("tls.example", {"h2"}));
  OfferTcp(hello.substr(0, 40), 443);
  OfferTcp(hello.substr(40), 443, 1'040);
  OfferTcp("GET / HTTP/1.1\r\nHost: http.example\r\n\r\n", 80);
  OfferTcp("CONNECT connect.example:443 HTTP/1.1\r\n\r\n", 8'080);
  OfferTcp(std::string("\x05\x01\0\x05\x01\0\x03", 7) + Counted8("socks.example") + Be16(443),
           1'080);
  Offer(Base(17, true, 443), QuicInitial(CryptoFrame(0, ClientHello("quic.example"))));
  OfferQuery("dns.example");
  Offer(Base(17, false, 53), DnsHeader(0x8180, 1, 1) + DnsName("dns.example") + Be16(1) + Be16(1) +
                                 DnsRecord("\xc0\x0c", 1, AddressBytes("203.0.113.9")));
  ASSERT_TRUE(AwaitAll());
  EXPECT_THAT(said_,
              ElementsAre("192.0.2.1:40000 asks tls.example", "192.0.2.1:40000 asks http.example",
                          "192.0.2.1:40000 asks proxy for connect.example",
                          "192.0.2.1:40000 asks proxy for socks.example",
                          "192.0.2.1:40000 asks quic.example", "192.0.2.1:40000 asks dns.example",
                          "198.51.100.7:53 answers dns.example 203.0.113.9"));
  const ParserStatus status = link_->status();
  EXPECT_EQ(status.processed, 8U);
  EXPECT_EQ(status.dropped + status.bad_messages + status.restarts, 0U);
  EXPECT_EQ(status.report.observations, 7U);
  EXPECT_EQ(status.last_error, "");
  EXPECT_LE(last_at_, ReadBootClock());
  EXPECT_GT(last_at_, ReadBootClock() - std::chrono::hours(1));
}

TEST_F(ParserLinkTest, WhatNoNameCanBeInIsNotOffered) {
  Start();
  Packet icmp = Base(1, true, 0);
  Offer(icmp, "payload");
  Packet fragment = Base(17, true, 0);
  fragment.fragment = true;
  Offer(fragment, "payload");
  Offer(Base(17, true, 53), "");
  Packet pure_ack = Base(6, true, 443);
  pure_ack.tcp_flags = kTcpAck;
  Offer(pure_ack, "");
  EXPECT_EQ(link_->status().offered, 0U);
  Packet syn = Base(6, true, 443);
  syn.tcp_flags = kTcpSyn;
  Offer(syn, "");
  EXPECT_EQ(link_->status().offered, 1U);
}

TEST_F(ParserLinkTest, TheChildHasNoRights) {
  Start();
  OfferQuery("a.example");
  ASSERT_TRUE(AwaitAll());  // it parses, so it is behind the filter
  auto status = ProcStatus(link_->status().pid);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_EQ(status[set], "\t0000000000000000") << set;
  }
  EXPECT_EQ(status["NoNewPrivs"], "\t1");
  EXPECT_EQ(status["Seccomp"], "\t2");
  EXPECT_EQ(status["Threads"], "\t1");
  if (geteuid() != 0) return;
  EXPECT_EQ(status["CapBnd"], "\t0000000000000000");
  const passwd* nobody = getpwnam("nobody");
  ASSERT_NE(nobody, nullptr);
  const std::string uid = "\t" + std::to_string(nobody->pw_uid);
  EXPECT_EQ(status["Uid"], uid + uid + uid + uid);
  EXPECT_THAT(status["Groups"], ::testing::AnyOf("\t", "\t ", ""));
}

TEST_F(ParserLinkTest, AKilledParserIsRestartedAndGoesOn) {
  Start();
  OfferQuery("before.example");
  ASSERT_TRUE(AwaitAll());
  const int first = link_->status().pid;
  for (int i = 0; i < 10; ++i) OfferQuery("meanwhile.example");
  ASSERT_TRUE(Signal(first, SIGKILL));
  ASSERT_TRUE(Await([this] { return link_->status().restarts == 1; }));
  EXPECT_NE(link_->status().pid, first);
  EXPECT_THAT(link_->status().last_error, HasSubstr("killed by signal 9"));
  OfferQuery("after.example");
  ASSERT_TRUE(AwaitAll());
  EXPECT_EQ(said_.back(), "192.0.2.1:40000 asks after.example");
  EXPECT_EQ(link_->status().restarts, 1U);
}

TEST_F(ParserLinkTest, AFloodIsBoundedAndEverySampleIsProcessedOrCounted) {
  Start();
  ASSERT_TRUE(Signal(link_->status().pid, SIGSTOP));
  constexpr std::uint64_t kFlood = 100'000;  // some 9 MB, far over what the socket holds
  for (std::uint64_t i = 0; i < kFlood; ++i) OfferQuery("flood.example");
  const ParserStatus stopped = link_->status();
  EXPECT_EQ(stopped.offered, kFlood);
  EXPECT_GT(stopped.dropped, kFlood / 2);
  EXPECT_LT(stopped.dropped, kFlood);
  ASSERT_TRUE(Signal(stopped.pid, SIGCONT));
  ASSERT_TRUE(AwaitAll());
  const ParserStatus status = link_->status();
  EXPECT_EQ(status.dropped, stopped.dropped);
  EXPECT_EQ(status.observations, status.processed);
  EXPECT_EQ(status.restarts, 0U);
  OfferQuery("again.example");
  ASSERT_TRUE(AwaitAll());
  EXPECT_EQ(link_->status().dropped, stopped.dropped);
}

TEST_F(ParserLinkTest, AParserThatDoesNotAnswerIsReplaced) {
  ParserOptions options;
  options.patience = milliseconds(300);
  Start(options);
  const int first = link_->status().pid;
  ASSERT_TRUE(Signal(first, SIGSTOP));
  OfferQuery("a.example");
  ASSERT_TRUE(Await([this] { return link_->status().restarts >= 1; }));
  EXPECT_NE(link_->status().pid, first);
  EXPECT_THAT(link_->status().last_error, HasSubstr("does not answer"));
  EXPECT_EQ(link_->status().dropped, 1U);
}

// Instead of the parser a script that says something else on the link.
class OtherProgramTest : public ParserLinkTest {
 protected:
  void StartScript(const std::string& said_on_link, const std::string& command) {
    const std::string path = dir_.path() + "/parser";
    std::ofstream(dir_.path() + "/said", std::ios::binary) << said_on_link;
    std::ofstream(path) << "#!/bin/sh\n"
                        << "cd " << dir_.path() << "\n"
                        << command << "\n";
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
    ParserOptions options;
    options.program = path;
    Start(options);
  }
  TempDir dir_;
};

TEST_F(OtherProgramTest, ABadMessageIsCountedAndEndsTheOneWhoSentIt) {
  ReplyWriter writer;
  ASSERT_TRUE(writer.Add({BootTime(), {}, {}, 17, true, DnsMessage()}));
  std::string of_nothing_sent(writer.Finish({.samples = 1}));
  std::string other_version(writer.Finish({}));
  other_version[1] = 9;
  for (const std::string& bad : {std::string("bad"), std::string(kMaxParserDatagram + 1, '\0'),
                                 of_nothing_sent, other_version}) {
    StartScript(bad, "dd if=said bs=65536 status=none >&3; exec cat <&3 >/dev/null");
    ASSERT_TRUE(Await([this] { return link_->status().restarts >= 1; })) << bad.size();
    EXPECT_GE(link_->status().bad_messages, 1U);
    EXPECT_THAT(link_->status().last_error, HasSubstr("sent what is no reply"));
    EXPECT_THAT(said_, IsEmpty());
  }
}

TEST_F(OtherProgramTest, ATimeThatIsStillToComeIsTakenForTheEarliestThatItCanBe) {
  ReplyWriter writer;
  ASSERT_TRUE(writer.Add({ReadBootClock() + std::chrono::hours(1'000),
                          {},
                          {},
                          17,
                          true,
                          ServerName{NameSource::kTlsSni, "a.example", {}}}));
  StartScript(std::string(writer.Finish({})),
              "dd if=said bs=65536 status=none >&3; exec cat <&3 >/dev/null");
  ASSERT_TRUE(Await([this] { return observed_ == 1; }));
  EXPECT_LE(last_at_, ReadBootClock());
}

TEST_F(OtherProgramTest, WithoutAParserSamplesAreCountedAndTheSensorGoesOn) {
  StartScript("", "exit 3");
  ASSERT_TRUE(Await([this] { return link_->status().restarts >= 2; }));
  EXPECT_THAT(link_->status().last_error, HasSubstr("exited with status 3"));
  for (int i = 0; i < 1'000; ++i) OfferQuery("a.example");
  ASSERT_TRUE(Await([this] { return link_->status().dropped == 1'000; }));
  EXPECT_EQ(link_->status().processed, 0U);
}

TEST_F(ParserLinkTest, AMissingProgramIsNamed) {
  ParserOptions options;
  options.program = "/nonexistent/culprit-agent-parser";
  const auto link = ParserLink::Start(options);
  ASSERT_FALSE(link);
  EXPECT_THAT(link.error().message, HasSubstr(options.program));
}

TEST(ParserProgramTest, StartedByHandItSaysHowItIsStarted) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{CULPRIT_PARSER_PROGRAM}, {CULPRIT_PARSER_PROGRAM, "nobody"}}) {
    const auto outcome = testing_support::RunProgram(command);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("culprit-agent run"));
  }
}

}  // namespace
}  // namespace culprit
