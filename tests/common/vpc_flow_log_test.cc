// SPDX-License-Identifier: Apache-2.0
#include "common/vpc_flow_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Line = VpcFlowFormat::Line;

constexpr const char* kVersion2 =
    "2 123456789010 eni-1235b8ca 192.0.2.10 198.51.100.7 20641 22 6 20 4249 1418530010 1418530070 "
    "REJECT OK";

std::vector<VpcFlowRow> ReadAll(const std::string& text, VpcFlowStats* stats = nullptr) {
  std::vector<VpcFlowRow> rows;
  auto reader = VpcFlowReader::FromStream(OpenMemoryStream(text));
  EXPECT_TRUE(reader.has_value());
  if (!reader) return rows;
  VpcFlowRow row;
  while ((*reader)->Next(&row)) rows.push_back(row);
  if (stats != nullptr) *stats = (*reader)->stats();
  return rows;
}

TEST(VpcFlowLogTest, Version2WithoutAHeader) {
  const auto rows = ReadAll(kVersion2);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].version, 2U);
  EXPECT_EQ(rows[0].account, "123456789010");
  EXPECT_EQ(rows[0].interface, "eni-1235b8ca");
  EXPECT_EQ(rows[0].source.ToString(), "192.0.2.10:20641");
  EXPECT_EQ(rows[0].destination.ToString(), "198.51.100.7:22");
  EXPECT_EQ(rows[0].protocol, 6);
  EXPECT_EQ(rows[0].packets, 20U);
  EXPECT_EQ(rows[0].bytes, 4249U);
  EXPECT_EQ(rows[0].start_s, 1418530010);
  EXPECT_EQ(rows[0].end_s, 1418530070);
  EXPECT_TRUE(rows[0].rejected);
}

TEST(VpcFlowLogTest, AHeaderGivesTheOrderAndMayComeAgain) {
  const auto rows = ReadAll(
      "srcport srcaddr dstaddr dstport start end bytes tcp-flags instance-id\n"
      "5000 192.0.2.10 198.51.100.7 22 100 200 7 2 i-1\n"
      "dstaddr srcaddr start\n"
      "192.0.2.10 2001:db8::1 300\n");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].source.ToString(), "192.0.2.10:5000");
  EXPECT_EQ(rows[0].tcp_flags, 2);
  EXPECT_EQ(rows[0].instance, "i-1");
  EXPECT_EQ(rows[1].source.address.ToString(), "2001:db8::1");
  EXPECT_EQ(rows[1].end_s, 300) << "a window does not end before it starts";
}

TEST(VpcFlowLogTest, AllFieldsOfLaterVersionsWithoutAHeader) {
  for (const char* tail : {"", " - - - - - - - - - -", " - - - - - - - - - - BPA"}) {
    const auto rows = ReadAll(
        std::string("5 123456789010 eni-1 203.0.113.9 10.200.0.0 50041 33004 17 1 52 1640000066 "
                    "1640000297 ACCEPT OK vpc-1 subnet-1 i-0ab 1 IPv4 203.0.113.9 10.200.0.80 "
                    "us-east-1 use1-az5 - - AMAZON CLOUDFRONT ingress 1") +
        tail);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].destination.ToString(), "10.200.0.80:33004") << "of the packet";
    EXPECT_EQ(rows[0].direction, "ingress");
    EXPECT_EQ(rows[0].instance, "i-0ab");
  }
}

TEST(VpcFlowLogTest, TheTimeOfAnExportBeforeTheLineIsPassedOver) {
  EXPECT_EQ(ReadAll(std::string("2026-03-01T00:00:00.000Z ") + kVersion2).size(), 1U);
}

TEST(VpcFlowLogTest, WhatHasNoDataAndWhatIsBadIsCountedAndTheRestRead) {
  VpcFlowStats stats;
  const auto rows = ReadAll(
      "2 1 eni-1 - - - - - - - 1431280876 1431280934 - NODATA\n"
      "2 1 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA\n"
      "hello\n"
      "2 1 eni-1 192.0.2.1 192.0.2.2 99999 22 6 20 4249 1418530010 1418530070 ACCEPT OK\n"
      "2 1 eni-1 192.0.2.1 192.0.2.2 9 22 6 x 4249 1418530010 1418530070 ACCEPT OK\n"
      "2 1 eni-1 192.0.2.1 192.0.2.2 9 22 6 2 4249 - - ACCEPT OK\n" +
          std::string(kMaxVpcFlowLine + 5, 'x') + "\n\n" + kVersion2 + "\n",
      &stats);
  EXPECT_EQ(rows.size(), 1U);
  EXPECT_EQ(stats.no_data, 2U);
  EXPECT_EQ(stats.bad_lines, 5U);
  EXPECT_EQ(stats.lines, 9U);
  EXPECT_THAT(stats.bad, ElementsAre(HasSubstr("3: fewer fields"), "4: a port is none",
                                     "5: packets or bytes are no number",
                                     "6: start or end is no time", "7: the line is too long"));
}

TEST(VpcFlowLogTest, GzipIsUnpackedAndACutIsTold) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += std::string(kVersion2) + " " + std::to_string(i) + "\n";
  z_stream z{};
  ASSERT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(text.size() + 100, '\0');
  z.next_in = reinterpret_cast<Bytef*>(text.data());
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  packed.resize(z.total_out);
  deflateEnd(&z);
  EXPECT_EQ(ReadAll(packed).size(), 2000U);
  VpcFlowStats stats;
  EXPECT_LT(ReadAll(packed.substr(0, packed.size() / 2), &stats).size(), 2000U);
  EXPECT_NE(stats.cut_short, "");
}

}  // namespace
}  // namespace culprit
