// SPDX-License-Identifier: Apache-2.0
#include "agent/names/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/payload_builder.h"

namespace culprit {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(TlsTest, AHelloHasNameAndProtocols) {
  ServerName name;
  ASSERT_EQ(ParseTlsStream(TlsRecord(ClientHello("API.Example.com", {"h2", "http/1.1"})), name),
            Verdict::kFound);
  EXPECT_EQ(name.name, "api.example.com");
  EXPECT_THAT(name.alpn, ElementsAre("h2", "http/1.1"));
}

TEST(TlsTest, AHelloWithoutANameIsFoundWithoutOne) {
  ServerName name;
  name.name = "of another";
  ASSERT_EQ(ParseTlsStream(TlsRecord(ClientHello("")), name), Verdict::kFound);
  EXPECT_EQ(name.name, "");
  EXPECT_THAT(name.alpn, IsEmpty());
}

TEST(TlsTest, EveryBeginningAsksForMore) {
  const std::string stream = TlsRecord(ClientHello("a.example", {"h2"}, 1'700));
  for (std::size_t n = 0; n < stream.size(); ++n) {
    const std::string cut = stream.substr(0, n);
    ServerName name;
    ASSERT_EQ(ParseTlsStream(cut, name), Verdict::kMore) << n;
  }
}

TEST(TlsTest, AHelloMayBeCutIntoRecordsAnywhere) {
  const std::string hello = ClientHello("a.example", {"h2"});
  for (std::size_t n = 1; n < hello.size(); ++n) {
    const std::string stream = TlsRecord(hello.substr(0, n)) + TlsRecord(hello.substr(n));
    ServerName name;
    ASSERT_EQ(ParseTlsStream(stream, name), Verdict::kFound) << n;
    EXPECT_EQ(name.name, "a.example") << n;
  }
  std::string bytewise;
  for (const char c : hello) bytewise += TlsRecord({&c, 1});
  ServerName name;
  ASSERT_EQ(ParseTlsStream(bytewise, name), Verdict::kFound);
  EXPECT_EQ(name.name, "a.example");
}

TEST(TlsTest, OfACutHelloTheNameIsKnownOnceItIsThere) {
  const std::string stream = TlsRecord(ClientHello("a.example", {"h2"}));
  ServerName name;
  ASSERT_EQ(ParseTlsStream(stream.substr(0, stream.size() - 1), name), Verdict::kMore);
  EXPECT_EQ(name.name, "a.example");
  EXPECT_THAT(name.alpn, IsEmpty());
}

TEST(TlsTest, WhatIsNoHelloIsTold) {
  const std::string hello = ClientHello("a.example");
  const std::pair<const char*, std::string> cases[] = {
      {"alert", U8(21) + Be16(0x0303) + Counted16("\x02\x28")},
      {"server hello", TlsRecord(U8(2) + hello.substr(1))},
      {"version", TlsRecord(hello, 0x0201)},
      {"later version", TlsRecord(hello, 0x0305)},
      {"empty record", TlsRecord("")},
      {"record too long", U8(22) + Be16(0x0301) + Be16(0xffff)},
      {"message too short", TlsRecord(U8(1) + Be24(3) + "abc")},
      {"message too long", TlsRecord(U8(1) + Be24(0xffffff) + "abc")},
      {"other record within", TlsRecord(hello.substr(0, 20)) + U8(23) + Be16(0x0303)},
  };
  for (const auto& [what, bytes] : cases) {
    ServerName name;
    EXPECT_EQ(ParseTlsStream(bytes, name), Verdict::kOther) << what;
  }
}

TEST(TlsTest, BrokenExtensionsTakeNothingElseAlong) {
  // A list that claims to be longer than its extension, then a whole one.
  const std::string extensions =
      TlsExtension(16, Be16(200) + "\x63" + "h2") + ServerNameExtension("a.example");
  const std::string body = Be16(0x0303) + Zeros(32) + Counted8("") + Counted16("\x13\x01") +
                           Counted8(Zeros(1)) + Counted16(extensions);
  ServerName name;
  ASSERT_EQ(ParseClientHello(U8(1) + Be24(static_cast<unsigned>(body.size())) + body, name),
            Verdict::kFound);
  EXPECT_EQ(name.name, "a.example");
}

TEST(TlsTest, ProtocolsAreEscapedAndBounded) {
  std::vector<std::string> alpn(20, "\x1b[2J");
  ServerName name;
  ASSERT_EQ(ParseClientHello(ClientHello("a\x1b.example", alpn), name), Verdict::kFound);
  EXPECT_EQ(name.alpn.size(), kMaxAlpn);
  EXPECT_EQ(name.alpn[0], "\\x1b[2j");
  EXPECT_EQ(name.name, "a\\x1b.example");
}

}  // namespace
}  // namespace culprit
