// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/contact_book.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

namespace culprit {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

IpAddress Address(std::uint32_t n) {
  const std::uint8_t bytes[4] = {10, static_cast<std::uint8_t>(n >> 16),
                                 static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
  return IpAddress::FromV4Bytes(bytes);
}

Packet Tcp(std::uint32_t remote, std::uint16_t port, std::uint8_t flags) {
  Packet packet;
  packet.protocol = IPPROTO_TCP;
  packet.source = IpAddress::Parse("192.0.2.1").value();
  packet.source_port = port;
  packet.destination = Address(remote);
  packet.destination_port = 443;
  packet.tcp_flags = flags;
  return packet;
}

Packet Back(Packet packet) {
  std::swap(packet.source, packet.destination);
  std::swap(packet.source_port, packet.destination_port);
  return packet;
}

TEST(ContactBookTest, TheFirstBytesOfAFirstConnectionBothWaysAndNoMore) {
  ContactBook book;
  EXPECT_TRUE(book.Begins(Tcp(1, 1000, kTcpSyn), 60, {}));
  EXPECT_TRUE(book.Begins(Back(Tcp(1, 1000, kTcpSyn | kTcpAck)), 60, {}));
  EXPECT_TRUE(book.Begins(Tcp(1, 1000, kTcpAck), 4000, {}));
  EXPECT_TRUE(book.Begins(Back(Tcp(1, 1000, kTcpAck)), 4000, {}));
  EXPECT_FALSE(book.Begins(Tcp(1, 1000, kTcpAck), 4000, {})) << "more than the first bytes";
  EXPECT_FALSE(book.Begins(Tcp(1, 1000, kTcpAck), 1, {})) << "and nothing behind them";
}

TEST(ContactBookTest, FurtherConnectionsOfThePairAreNoFirstContact) {
  ContactBook book;
  EXPECT_TRUE(book.Begins(Tcp(1, 1000, kTcpSyn), 60, {}));
  EXPECT_FALSE(book.Begins(Tcp(1, 1001, kTcpSyn), 60, {}));
  EXPECT_FALSE(book.Begins(Back(Tcp(1, 1002, kTcpSyn)), 60, {}));
  EXPECT_TRUE(book.Begins(Tcp(2, 1001, kTcpSyn), 60, {}));
}

TEST(ContactBookTest, WhatWasThereBeforeAndWhatIsNoConnectionIsNone) {
  ContactBook book;
  EXPECT_FALSE(book.Begins(Tcp(1, 1000, kTcpAck), 60, {}));
  EXPECT_FALSE(book.Begins(Tcp(1, 1001, kTcpSyn), 60, {})) << "they had talked";
  Packet udp = Tcp(2, 1000, 0);
  udp.protocol = IPPROTO_UDP;
  EXPECT_TRUE(book.Begins(udp, 60, {}));
  Packet icmp = Tcp(3, 0, 0);
  icmp.protocol = IPPROTO_ICMP;
  EXPECT_FALSE(book.Begins(icmp, 60, {}));
  Packet inner = Tcp(4, 1000, kTcpSyn);
  inner.tunnel = Tunnel::kGre;
  EXPECT_FALSE(book.Begins(inner, 60, {}));
}

TEST(ContactBookTest, AScanHasItsBurstAndThenARate) {
  ContactBook book;
  std::uint32_t remote = 0;
  const auto scan = [&](nanoseconds now) {
    std::uint32_t taken = 0;
    for (int i = 0; i < 2000; ++i) {
      taken += book.Begins(Tcp(++remote, 1000, kTcpSyn), 60, now) ? 1U : 0U;
    }
    return taken;
  };
  EXPECT_EQ(scan(seconds(0)), static_cast<std::uint32_t>(ContactBook::kBurst));
  EXPECT_EQ(scan(seconds(0)), 0U);
  EXPECT_EQ(scan(seconds(10)), static_cast<std::uint32_t>(10 * ContactBook::kPerSecond));
}

TEST(ContactBookTest, APairIsForgottenAfterEnoughOthers) {
  ContactBook book;
  EXPECT_TRUE(book.Begins(Tcp(0, 1000, kTcpSyn), 60, {}));
  for (std::uint32_t n = 1; n < ContactBook::kMaxPairs; ++n) {
    book.Begins(Tcp(n, 1000, kTcpSyn), 60, {});
  }
  EXPECT_FALSE(book.Begins(Tcp(0, 1001, kTcpSyn), 60, seconds(10))) << "still known";
  book.Begins(Tcp(1U << 20, 1000, kTcpSyn), 60, seconds(10));
  EXPECT_TRUE(book.Begins(Tcp(0, 1002, kTcpSyn), 60, seconds(20)));
}

}  // namespace
}  // namespace culprit
