// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/sock_diag.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <utmp.h>

#include <cstring>

#include "agent/snapshot/host_state.h"

namespace culprit {
namespace {

template <class T>
std::string Bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string Attribute(std::uint16_t type, std::string value) {
  nlattr head{};
  head.nla_len = static_cast<std::uint16_t>(sizeof head + value.size());
  head.nla_type = type;
  value.resize((value.size() + 3) / 4 * 4);
  return Bytes(head) + value;
}

std::string TcpSocket() {
  inet_diag_msg head{};
  head.idiag_family = AF_INET;
  head.idiag_state = 1;
  head.id.idiag_sport = htons(22);
  head.id.idiag_dport = htons(50'000);
  head.id.idiag_src[0] = htonl(0xc0000201);
  head.id.idiag_dst[0] = htonl(0xcb007107);
  head.idiag_inode = 4711;
  tcp_info info{};
  info.tcpi_bytes_sent = 1'000'000;
  return Bytes(head) + Attribute(INET_DIAG_INFO, Bytes(info));
}

TEST(SockDiag, AConnectionHasItsEndsAndItsBytes) {
  std::uint64_t inode = 0;
  const Row row = InetSocketRow(TcpSocket(), IPPROTO_TCP, &inode);
  EXPECT_EQ(inode, 4711U);
  EXPECT_EQ(row["local"], "192.0.2.1");
  EXPECT_EQ(row["local_port"], 22);
  EXPECT_EQ(row["remote"], "203.0.113.7");
  EXPECT_EQ(row["state"], "established");
  EXPECT_EQ(row["bytes_sent"], 1'000'000);
}

TEST(SockDiag, WhatIsTooShortGivesNoRow) {
  std::uint64_t inode = 0;
  const std::string whole = TcpSocket();
  for (std::size_t length = 0; length < sizeof(inet_diag_msg); ++length)
    EXPECT_TRUE(InetSocketRow(whole.substr(0, length), IPPROTO_TCP, &inode).empty());
  EXPECT_FALSE(InetSocketRow(whole.substr(0, sizeof(inet_diag_msg) + 2), IPPROTO_TCP, &inode)
                   .contains("bytes_sent"));
  EXPECT_TRUE(UnixSocketRow("x", &inode).empty());
  EXPECT_TRUE(PacketSocketRow("x", &inode).empty());
  EXPECT_TRUE(RouteRow(RTM_NEWLINK, "x").empty());
}

TEST(SockDiag, LengthsThatLieEndTheReading) {
  nlmsghdr head{};
  std::size_t seen = 0;
  for (const std::uint32_t length : {0U, 15U, 17U, 0xffffffffU}) {
    head.nlmsg_len = length;
    ForEachMessage(Bytes(head), [&](std::uint16_t, std::string_view) { ++seen; });
  }
  EXPECT_EQ(seen, 0U);
  head.nlmsg_len = sizeof head;
  ForEachMessage(Bytes(head) + Bytes(head), [&](std::uint16_t, std::string_view) { ++seen; });
  EXPECT_EQ(seen, 2U);
}

TEST(SockDiag, AnInterfaceThatListensToEverythingShowsIt) {
  ifinfomsg head{};
  head.ifi_index = 2;
  const std::string name("eth0\0", 5);
  const Row row = RouteRow(RTM_NEWLINK, Bytes(head) + Attribute(IFLA_IFNAME, name) +
                                            Attribute(IFLA_PROMISCUITY, Bytes(std::uint32_t{1})));
  EXPECT_EQ(row["name"], "eth0");
  EXPECT_EQ(row["promiscuity"], 1);
}

TEST(Utmp, RowsAreEscapedAndATornOneIsLeftOut) {
  utmp entry{};
  entry.ut_type = USER_PROCESS;
  std::memset(entry.ut_user, 'u', sizeof entry.ut_user);
  std::strcpy(entry.ut_line, "pts/0\x1b[2J");
  entry.ut_addr_v6[0] = static_cast<std::int32_t>(htonl(0xcb007107));
  const std::string bytes = Bytes(entry) + Bytes(utmp{}) + Bytes(entry).substr(0, 100);
  const auto rows = UtmpRows(bytes, 10);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["line"], "pts/0\\x1b[2J");
  EXPECT_EQ(rows[0]["address"], "203.0.113.7");
}

}  // namespace
}  // namespace culprit
