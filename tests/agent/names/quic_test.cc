// SPDX-License-Identifier: Apache-2.0
#include "agent/names/quic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/hex.h"
#include "tests/support/payload_builder.h"

namespace culprit {
namespace {

using namespace testing;
using ::testing::ElementsAre;

constexpr std::uint32_t kV2 = 0x6b3343cf;
constexpr std::string_view kConnection = "\x83\x94\xc8\xf0\x3e\x51\x57\x08";

template <std::size_t N>
std::string Hex(const std::array<std::uint8_t, N>& bytes) {
  return HexEncode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

TEST(QuicTest, KeysAreThoseOfTheStandards) {
  const QuicKeys v1 = QuicClientKeys(1, kConnection);  // RFC 9001 A.1
  EXPECT_EQ(Hex(v1.key), "1f369613dd76d5467730efcbe3b1a22d");
  EXPECT_EQ(Hex(v1.iv), "fa044b2f42a3fd3b46fb255c");
  EXPECT_EQ(Hex(v1.header), "9f50449e04a0e810283a1e9933adedd2");
  const QuicKeys v2 = QuicClientKeys(kV2, kConnection);  // RFC 9369 A.1
  EXPECT_EQ(Hex(v2.key), "8b1a0bc121284290a29e0971b5cd045d");
  EXPECT_EQ(Hex(v2.iv), "91f73e2351d8fa91660e909f");
  EXPECT_EQ(Hex(v2.header), "45b95e15235d6f45a6b19cbcb0294ba9");
}

TEST(QuicTest, TheExampleOfTheStandardIsRead) {
  // RFC 9001 A.2: the frame there, protected here, ends in the tag that stands there.
  const std::string frame = HexDecode(
                                "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"
                                "04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"
                                "616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
                                "04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"
                                "baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
                                "0d0010000e0403050306030203080408050806002d00020101001c0002400100"
                                "3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
                                "75300901100f088394c8f03e51570806048000ffff")
                                .value();
  const std::string packet = QuicInitial(frame);
  ASSERT_EQ(packet.size(), 1'200U);
  EXPECT_EQ(HexEncode(packet.substr(0, 32)),
            "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11");
  EXPECT_EQ(HexEncode(packet.substr(packet.size() - 16)), "e221af44860018ab0856972e194cd934");
  QuicInitials initials;
  ServerName name;
  ASSERT_EQ(initials.Add(packet, name), Verdict::kFound);
  EXPECT_EQ(name.name, "example.com");
  EXPECT_EQ(name.source, NameSource::kQuicSni);
  EXPECT_THAT(name.alpn, ElementsAre("alpn"));
}

TEST(QuicTest, EveryKnownVersionIsRead) {
  for (const std::uint32_t version : {1U, kV2, 0xff00001dU, 0xff000017U, 0xff000022U}) {
    const std::string packet =
        QuicInitial(CryptoFrame(0, ClientHello("a.example", {"h3"})), {.version = version});
    EXPECT_TRUE(LooksLikeQuicInitial(packet)) << version;
    QuicInitials initials;
    ServerName name;
    ASSERT_EQ(initials.Add(packet, name), Verdict::kFound) << version;
    EXPECT_EQ(name.name, "a.example");
  }
}

TEST(QuicTest, AHelloMayBeSpreadOverFramesAndDatagramsInAnyOrder) {
  const std::string hello = ClientHello("a.example", {"h3"}, 1'300);
  const std::string_view view = hello;
  const std::string last = QuicInitial(
      U8(0) + CryptoFrame(1'200, view.substr(1'200)) + U8(1) + CryptoFrame(0, view.substr(0, 10)),
      {.number = 3});
  const std::string first =
      QuicInitial(CryptoFrame(600, view.substr(600, 600)) + CryptoFrame(10, view.substr(10, 590)),
                  {.connection = "other", .number = 4});
  QuicInitials initials;
  ServerName name;
  EXPECT_EQ(initials.Add(last, name), Verdict::kMore);
  ASSERT_EQ(initials.Add(first, name), Verdict::kFound);
  EXPECT_EQ(name.name, "a.example");
}

TEST(QuicTest, BehindARetryTheKeysAreOthers) {
  const std::string hello = ClientHello("a.example");
  const std::string_view view = hello;
  QuicInitials initials;
  ServerName name;
  EXPECT_EQ(initials.Add(QuicInitial(CryptoFrame(0, view.substr(0, 20))), name), Verdict::kMore);
  const std::string again = QuicInitial(
      CryptoFrame(0, hello), {.keys_from = "retried", .connection = "retried", .token = "token"});
  ASSERT_EQ(initials.Add(again, name), Verdict::kFound);
  EXPECT_EQ(name.name, "a.example");
}

TEST(QuicTest, PacketsInOneDatagramAreReadOneAfterTheOther) {
  const std::string hello = ClientHello("a.example");
  const std::string_view view = hello;
  const std::string handshake =
      U8(0xe3) + Be32(1) + Counted8("x") + Counted8("y") + QuicVarInt(9) + Zeros(9);
  const std::string datagram =
      QuicInitial(CryptoFrame(0, view.substr(0, 20)), {.payload_size = 60}) + handshake +
      QuicInitial("\x02" + QuicVarInt(5) + QuicVarInt(0) + QuicVarInt(1) + QuicVarInt(0) +
                      QuicVarInt(0) + QuicVarInt(0) + CryptoFrame(20, view.substr(20)),
                  {.number = 7});
  QuicInitials initials;
  ServerName name;
  ASSERT_EQ(initials.Add(datagram, name), Verdict::kFound);
  EXPECT_EQ(name.name, "a.example");
}

TEST(QuicTest, WhatWasChangedOrCutIsNotRead) {
  const std::string packet =
      QuicInitial(CryptoFrame(0, ClientHello("a.example")), {.payload_size = 200});
  for (std::size_t i = 0; i < packet.size(); ++i) {
    std::string damaged = packet;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    QuicInitials initials;
    ServerName name;
    EXPECT_EQ(initials.Add(damaged, name), Verdict::kOther) << i;
    EXPECT_EQ(QuicInitials().Add(packet.substr(0, i), name), Verdict::kOther) << i;
  }
}

TEST(QuicTest, OffsetsOutOfBoundsAreHarmless) {
  const std::string far = U8(6) + Be32(0xffffffff) + Be32(0xffffffff) + QuicVarInt(3) + "abc";
  QuicInitials initials;
  ServerName name;
  EXPECT_EQ(initials.Add(QuicInitial(far), name), Verdict::kMore);
  EXPECT_LE(initials.held(), 2 * kStreamHeadBytes);
}

TEST(QuicTest, OtherDatagramsDoNotLookLikeIt) {
  const std::string packet = QuicInitial(CryptoFrame(0, ClientHello("a.example")));
  EXPECT_FALSE(LooksLikeQuicInitial(""));
  EXPECT_FALSE(LooksLikeQuicInitial("\x40" + packet.substr(1)));                 // short header
  EXPECT_FALSE(LooksLikeQuicInitial("\xe0" + packet.substr(1)));                 // handshake
  EXPECT_FALSE(LooksLikeQuicInitial(packet.substr(0, 1) + Be32(7) + Zeros(9)));  // version
}

}  // namespace
}  // namespace culprit
