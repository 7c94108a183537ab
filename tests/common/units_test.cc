// SPDX-License-Identifier: Apache-2.0
#include "common/units.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

using std::chrono::nanoseconds;

TEST(ParseByteSizeTest, AcceptsIecDecimalAndBareBytes) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0},
      {"512", 512},
      {"512 B", 512},
      {"64KiB", 65536},
      {"256 MiB", 256ULL << 20},
      {"1.5 GiB", 3ULL << 29},
      {"209 GB", 209'000'000'000},
      {" 1 tib ", 1ULL << 40},
      {"9223372036854774784", 9223372036854774784ULL}};
  for (const auto& [text, bytes] : cases) {
    const auto parsed = ParseByteSize(text);
    if (std::string_view(text).starts_with("92")) {
      EXPECT_FALSE(parsed) << "over the documented bound";
      continue;
    }
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
  EXPECT_EQ(*ParseByteSize("9007199254740993"), 9007199254740993ULL) << "exact over 2^53";
}

TEST(ParseByteSizeTest, RefusesEverythingElse) {
  for (const char* text : {"", " ", "-1", "MiB", "1 XiB", "1 MiB 2", "1..5 MiB", "0x10", "1e3",
                           "1 Mi", "99999 PiB", "999999999999999999999999999"}) {
    EXPECT_FALSE(ParseByteSize(text)) << text;
  }
}

TEST(ParseDurationTest, AcceptsUnitsAndSums) {
  const std::pair<const char*, std::int64_t> cases[] = {{"0", 0},
                                                        {"10s", 10'000'000'000},
                                                        {"500ms", 500'000'000},
                                                        {"5m", 300'000'000'000},
                                                        {"1h30m", 5'400'000'000'000},
                                                        {"1.5 h", 5'400'000'000'000},
                                                        {"90 days", 90LL * 86400 * 1'000'000'000},
                                                        {"2 weeks", 14LL * 86400 * 1'000'000'000},
                                                        {"250us", 250'000},
                                                        {"1ns", 1}};
  for (const auto& [text, ns] : cases) {
    const auto parsed = ParseDuration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->count(), ns) << text;
  }
}

TEST(ParseDurationTest, RefusesMissingUnitsAndNonsense) {
  for (const char* text :
       {"", "10", "s", "-5s", "5 parsecs", "5s5", "1000000 weeks 1000000 weeks"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
}

TEST(FormatByteSizeTest, UsesIecUnitsAndNeverPrints1024) {
  const std::pair<std::uint64_t, const char*> cases[] = {{0, "0 B"},
                                                         {1023, "1023 B"},
                                                         {1024, "1.0 KiB"},
                                                         {1536, "1.5 KiB"},
                                                         {1048575, "1.0 MiB"},
                                                         {209'000'000'000, "194.6 GiB"},
                                                         {1ULL << 40, "1.0 TiB"},
                                                         {~0ULL, "16.0 EiB"}};
  for (const auto& [bytes, text] : cases) EXPECT_EQ(FormatByteSize(bytes), text);
}

TEST(FormatDurationTest, ShowsTwoUnits) {
  const std::pair<std::int64_t, const char*> cases[] = {{0, "0s"},
                                                        {999, "0us"},
                                                        {2'000, "2us"},
                                                        {450'000'000, "450ms"},
                                                        {12'900'000'000, "12s"},
                                                        {192'000'000'000, "3m12s"},
                                                        {18'180'000'000'000, "5h03m"},
                                                        {1'051'200'000'000'000, "12d04h"},
                                                        {-5'000'000'000, "-5s"}};
  for (const auto& [ns, text] : cases) EXPECT_EQ(FormatDuration(nanoseconds(ns)), text);
  EXPECT_EQ(FormatDuration(nanoseconds::min()).front(), '-');
}

TEST(FormatUsdTest, AmountsHaveCentsAndSmallOnesFourDigits) {
  const std::pair<std::uint64_t, const char*> cases[] = {
      {0, "$0"},          {1, "<$0.0001"},        {49, "<$0.0001"},          {50, "$0.0001"},
      {4'200, "$0.0042"}, {99'949, "$0.0999"},    {100'000, "$0.10"},        {104'999, "$0.10"},
      {105'000, "$0.11"}, {17'974'000, "$17.97"}, {999'995'000, "$1000.00"},
  };
  for (const auto& [micro_usd, text] : cases) EXPECT_EQ(FormatUsd(micro_usd), text) << micro_usd;
}

}  // namespace
}  // namespace culprit
