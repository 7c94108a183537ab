// SPDX-License-Identifier: Apache-2.0
#include "agent/source/vpc_flow_conns.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr const char* kHeader =
    "srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags\n";

std::vector<ZeekConn> Conns(const std::string& rows) {
  std::vector<ZeekConn> out;
  const std::string text = kHeader + rows;
  auto conns = VpcFlowConns::FromStream(OpenMemoryStream(text));
  EXPECT_TRUE(conns.has_value()) << conns.error().message;
  if (!conns) return out;
  ZeekConn conn;
  while ((*conns)->Next(&conn)) out.push_back(conn);
  return out;
}

TEST(VpcFlowConnsTest, BothWaysAndAllWindowsAreOneConnection) {
  const auto conns = Conns(
      "10.0.0.5 198.51.100.7 40000 22 6 5 500 1000 1060 ACCEPT 2\n"
      "198.51.100.7 10.0.0.5 22 40000 6 4 4000 1001 1060 ACCEPT 18\n"
      "10.0.0.5 198.51.100.7 40000 22 6 1 60 1061 1120 ACCEPT 1\n");
  ASSERT_EQ(conns.size(), 1U);
  EXPECT_EQ(conns[0].originator.ToString(), "10.0.0.5:40000");
  EXPECT_EQ(conns[0].responder.ToString(), "198.51.100.7:22");
  EXPECT_EQ(conns[0].orig_pkts, 6U);
  EXPECT_EQ(conns[0].orig_ip_bytes, 560U);
  EXPECT_EQ(conns[0].resp_pkts, 4U);
  EXPECT_EQ(conns[0].resp_ip_bytes, 4000U);
  EXPECT_EQ(conns[0].wall_ns, 1000 * kNsPerSecond);
  EXPECT_EQ(conns[0].duration_ns, 120 * kNsPerSecond);
  EXPECT_EQ(conns[0].conn_state, "SF");
}

TEST(VpcFlowConnsTest, TheFlagsSayWhoBeganElseThePorts) {
  const std::pair<const char*, const char*> cases[] = {
      {"10.0.0.5 198.51.100.7 22 40000 6 1 60 1000 1060 ACCEPT 2\n", "10.0.0.5:22"},
      {"10.0.0.5 198.51.100.7 22 40000 6 1 60 1000 1060 ACCEPT 18\n", "198.51.100.7:40000"},
      {"10.0.0.5 198.51.100.7 22 40000 6 1 60 1000 1060 ACCEPT 0\n", "198.51.100.7:40000"},
      {"198.51.100.7 10.0.0.5 40000 22 6 1 60 1000 1060 ACCEPT 0\n", "198.51.100.7:40000"},
      {"10.0.0.5 198.51.100.7 0 0 1 1 60 1000 1060 ACCEPT 0\n", "10.0.0.5:0"},
      {"198.51.100.7 10.0.0.5 53 53 17 1 60 1000 1060 ACCEPT 0\n", "198.51.100.7:53"},
  };
  for (const auto& [row, originator] : cases) {
    const auto conns = Conns(row);
    ASSERT_EQ(conns.size(), 1U) << row;
    EXPECT_EQ(conns[0].originator.ToString(), originator) << row;
  }
}

TEST(VpcFlowConnsTest, WhatNobodyAnsweredIsAFailedAttempt) {
  EXPECT_EQ(Conns("10.0.0.5 198.51.100.7 40000 22 6 1 60 1000 1060 ACCEPT 2\n")[0].conn_state,
            "S0");
  EXPECT_EQ(Conns("10.0.0.5 198.51.100.7 40000 22 6 1 60 1000 1060 REJECT 2\n")[0].conn_state,
            "S0");
}

TEST(VpcFlowConnsTest, AfterAnHourItIsAnother) {
  const auto conns = Conns(
      "10.0.0.5 198.51.100.7 40000 22 6 5 500 1000 1060 ACCEPT 2\n"
      "10.0.0.5 198.51.100.7 40000 22 6 5 500 4600 4660 ACCEPT 2\n");
  ASSERT_EQ(conns.size(), 2U);
  EXPECT_EQ(conns[1].wall_ns, 4600 * kNsPerSecond);
}

TEST(VpcFlowConnsTest, OfTooManyOpenOnesNoneIsLost) {
  std::string rows;
  const std::size_t count = kMaxVpcFlowsOpen + 100;
  for (std::size_t i = 0; i < count; ++i) {
    rows += "10.0." + std::to_string(i / 65'000) + ".5 198.51.100.7 " +
            std::to_string(i % 65'000 + 100) + " 22 6 1 60 1000 1060 ACCEPT 2\n";
  }
  EXPECT_EQ(Conns(rows).size(), count);
}

TEST(VpcFlowConnsTest, WhatIsNoFlowLogIsRefused) {
  for (const char* text : {"", "these are notes, and no capture\n", "srcaddr dstaddr\n"}) {
    EXPECT_FALSE(VpcFlowConns::FromStream(OpenMemoryStream(text)).has_value()) << text;
  }
}

}  // namespace
}  // namespace culprit
