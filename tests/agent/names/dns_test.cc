// SPDX-License-Identifier: Apache-2.0
#include "agent/names/dns.h"

#include <gtest/gtest.h>

#include "tests/support/payload_builder.h"

namespace culprit {
namespace {

using namespace testing;

std::string Pointer(unsigned to) { return Be16(0xc000 | to); }

TEST(DnsTest, AQueryHasItsName) {
  const auto message = ParseDns(DnsQuery("WWW.Example.COM", 28));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->id, 0x1234);
  EXPECT_FALSE(message->response);
  EXPECT_EQ(message->name, "www.example.com");
  EXPECT_EQ(message->type, 28);
  EXPECT_EQ(message->name_bytes, 17);
  EXPECT_EQ(message->message_bytes, 12U + 17 + 4);
}

TEST(DnsTest, AnswersOfEveryKindAreRead) {
  const std::string bytes =
      DnsHeader(0x8180, 1, 8) + DnsName("a.example") + Be16(255) + Be16(1) +
      DnsRecord(Pointer(12), 5,
                "\x01"
                "b" +
                    Pointer(14)) +
      DnsRecord(
          "\x01"
          "b" +
              Pointer(14),
          1, AddressBytes("192.0.2.7")) +
      DnsRecord(Pointer(12), 28, AddressBytes("2001:db8::7")) +
      DnsRecord(Pointer(12), 15, Be16(10) + DnsName("mail.example")) +
      DnsRecord(Pointer(12), 33, Be16(1) + Be16(2) + Be16(443) + DnsName("srv.example")) +
      DnsRecord(Pointer(12), 2, DnsName("ns.example")) +
      DnsRecord(Pointer(12), 12, DnsName("ptr.example")) +
      DnsRecord(Pointer(12), 16, Counted8("text"));
  const auto message = ParseDns(bytes);
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->response);
  ASSERT_EQ(message->answers.size(), 8U);
  EXPECT_EQ(message->answers[0].name, "a.example");
  EXPECT_EQ(message->answers[0].target, "b.example");
  EXPECT_EQ(message->answers[0].ttl_s, 300U);
  EXPECT_EQ(message->answers[1].name, "b.example");
  EXPECT_EQ(message->answers[1].address.ToString(), "192.0.2.7");
  EXPECT_EQ(message->answers[2].address.ToString(), "2001:db8::7");
  EXPECT_EQ(message->answers[3].target, "mail.example");
  EXPECT_EQ(message->answers[4].target, "srv.example");
  EXPECT_EQ(message->answers[5].target, "ns.example");
  EXPECT_EQ(message->answers[6].target, "ptr.example");
  EXPECT_EQ(message->answers[7].type, 16);
}

TEST(DnsTest, CompressionThatLeadsRoundOrPastTheEndIsRefused) {
  const std::string head = DnsHeader(0, 1, 0);
  const std::string tail = Be16(1) + Be16(1);
  std::string chain =
      head;  // each points to the one before it, the first to nothing that is a name
  for (unsigned i = 0; i < 64; ++i) chain += Pointer(12 + 2 * i);
  const std::pair<const char*, std::string> cases[] = {
      {"to itself", head + Pointer(12) + tail},
      {"forward", head + Pointer(14) + DnsName("a") + tail},
      {"past the end", head + Pointer(0x3fff) + tail},
      {"round through a label", head + Counted8("a") + Pointer(12) + tail},
      {"half a pointer", head + "\xc0"},
      {"chain", chain + tail},
      {"reserved kind", head + "\x80" + Zeros(5)},
      {"label past the end", head + "\x3f" + "abc"},
      {"no end", head + Counted8("abc")},
      {"longer than a name",
       head +
           std::string(DnsName(std::string(60, 'a') + "." + std::string(60, 'b') + "." +
                               std::string(60, 'c') + "." + std::string(60, 'd') +
                               ".eeeeeeeeeeee")) +
           tail},
  };
  for (const auto& [name, bytes] : cases) EXPECT_FALSE(ParseDns(bytes)) << name;
}

TEST(DnsTest, ALongChainOfPointersIsGivenUp) {
  std::string bytes = DnsHeader(0x8000, 1, 1) + DnsName("a") + Be16(16) + Be16(1);
  std::string chain = Pointer(12);  // within the data of a record
  const auto data = static_cast<unsigned>(bytes.size() + 1 + 10);
  for (unsigned i = 0; i < 2 * kMaxDnsPointers; ++i) chain += Pointer(data + 2 * i);
  bytes = DnsHeader(0x8000, 1, 2) + bytes.substr(12) + DnsRecord(U8(0), 16, chain) +
          DnsRecord(Pointer(data + 4 * kMaxDnsPointers), 1, AddressBytes("192.0.2.1"));
  const auto message = ParseDns(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->answers.size(), 1U);
}

TEST(DnsTest, OfACutMessageTheWholePartIsKept) {
  const std::string whole = DnsHeader(0x8180, 1, 2) + DnsName("a.example") + Be16(1) + Be16(1) +
                            DnsRecord(Pointer(12), 1, AddressBytes("192.0.2.7")) +
                            DnsRecord(Pointer(12), 1, AddressBytes("192.0.2.8"));
  const std::size_t question_end = 12 + 11 + 4;
  const std::size_t record = 2 + 10 + 4;
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    const std::string cut = whole.substr(0, n);
    const auto message = ParseDns(cut);
    ASSERT_EQ(message.has_value(), n >= question_end) << n;
    if (message) {
      EXPECT_EQ(message->answers.size(), (n - question_end) / record) << n;
    }
  }
}

TEST(DnsTest, NoMoreAnswersAreKeptThanTheBound) {
  std::string bytes = DnsHeader(0x8180, 1, 500) + DnsName("a.example") + Be16(1) + Be16(1);
  for (int i = 0; i < 500; ++i) bytes += DnsRecord(Pointer(12), 1, AddressBytes("192.0.2.7"));
  const auto message = ParseDns(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->answers.size(), kMaxDnsAnswers);
}

TEST(DnsTest, NamesAreEscapedAndBounded) {
  const std::string odd = Counted8(std::string("a.b\\\0\x1b\xff", 7)) + Counted8("C") + U8(0);
  const auto message = ParseDns(DnsHeader(0, 1, 0) + odd + Be16(1) + Be16(1));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->name, "a\\x2eb\\x5c\\x00\\x1b\\xff.c");

  const std::string label = Counted8(std::string(60, '\xff'));
  const auto wide =
      ParseDns(DnsHeader(0, 1, 0) + label + label + label + DnsName("example") + Be32(1));
  ASSERT_TRUE(wide);
  EXPECT_EQ(wide->name.size(), 253U);
  EXPECT_TRUE(wide->name.starts_with("\\xff"));  // no half escape
  EXPECT_TRUE(wide->name.ends_with("\\xff.example"));
  EXPECT_EQ(wide->name_bytes, 192);
}

TEST(DnsTest, MulticastAnswersNeedNoQuestion) {
  const std::string bytes = DnsHeader(0x8400, 0, 1) + DnsRecord(DnsName("printer.local"), 1,
                                                                AddressBytes("192.0.2.7"), 0x8001);
  const auto message = ParseDns(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->name, "");
  ASSERT_EQ(message->answers.size(), 1U);
  EXPECT_EQ(message->answers[0].address.ToString(), "192.0.2.7");
}

TEST(DnsTest, TheRootAndAnEmptyAnswerAreMessages) {
  const auto root = ParseDns(DnsQuery("", 2));
  ASSERT_TRUE(root);
  EXPECT_EQ(root->name, "");
  EXPECT_EQ(root->name_bytes, 1);
  EXPECT_TRUE(ParseDns(DnsHeader(0x1000, 0, 0)));  // a scanner asks for the status
  const auto refused = ParseDns(DnsHeader(0x8001, 0, 0));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->rcode, 1);
}

TEST(DnsTest, OtherProtocolsAreNotDns) {
  EXPECT_FALSE(ParseDns("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"));
  EXPECT_FALSE(ParseDns(""));
  EXPECT_FALSE(ParseDns(DnsHeader(0, 0, 0)));
  EXPECT_FALSE(ParseDns(DnsHeader(0x7800, 1, 0) + DnsName("a") + Be32(1)));
}

}  // namespace
}  // namespace culprit
