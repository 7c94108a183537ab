// SPDX-License-Identifier: Apache-2.0
#include "collector/place_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/support/mmdb_builder.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PlaceFilesTest : public ::testing::Test {
 protected:
  PlaceFilesTest() {
    config_.data_dir = dir_.path();
    config_.cost.prices = dir_ / "prices.toml";
    config_.cost.region = "ap-south-1";
  }
  void WriteRanges(const std::string& region) {
    Write("ip-ranges.json",
          fmt::format(R"({{"createDate":"2026-08-22-15-17-05","ipv6_prefixes":[],"prefixes":[)"
                      R"({{"ip_prefix":"203.0.113.0/24","region":"{}","service":"EC2"}}]}})",
                      region));
  }
  void WritePrices(int price) {
    Write("prices.toml", fmt::format("date = \"2026-01-31\"\n[[internet]]\nfrom = \"*\"\n"
                                     "as_of = \"a\"\nsource = \"b\"\nmicro_usd_per_gb = {}\n",
                                     price));
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(dir_ / name, text));
  }
  static std::string RegionIn(const PlaceFiles& files) {
    return files.Read()->geo.Find(*IpAddress::Parse("203.0.113.1")).region;
  }
  TempDir dir_;
  CollectorConfig config_;
};

TEST_F(PlaceFilesTest, ReadsWhatIsThereAndTheRegionOfTheConfiguration) {
  WriteRanges("me-south-1");
  WritePrices(5);
  const std::string data = testing::MmdbMap({{"country_code", testing::MmdbText("BH")}});
  Write("c.mmdb", testing::BuildMmdb("Test", 1, {{"203.0.113.0/24", data}}));
  config_.geo.mmdb = {dir_ / "c.mmdb"};
  const PlaceFiles files(config_);
  EXPECT_EQ(RegionIn(files), "me-south-1");
  EXPECT_EQ(files.Read()->geo.Find(*IpAddress::Parse("203.0.113.1")).country, "BH");
  EXPECT_EQ(files.Read()->prices->date(), "2026-01-31");
  EXPECT_EQ(files.Read()->region, "ap-south-1");
  EXPECT_EQ(files.Read()->problems.size(), 0U);
}

TEST_F(PlaceFilesTest, WhatIsMissingIsNamedWithItsRemedy) {
  const PlaceFiles files(config_);
  EXPECT_EQ(RegionIn(files), "");
  EXPECT_THAT(
      files.Read()->problems,
      ElementsAre(AllOf(HasSubstr(dir_ / "ip-ranges.json"), HasSubstr("regions are unknown: put")),
                  AllOf(HasSubstr(dir_ / "prices.toml"), HasSubstr("costs are unknown: put"))));
}

TEST_F(PlaceFilesTest, AFileThatChangesIsReadAgain) {
  WriteRanges("me-south-1");
  PlaceFiles files(config_);
  WriteRanges("eu-west-1");
  WritePrices(5);
  files.Refresh();
  EXPECT_EQ(RegionIn(files), "eu-west-1");
  ASSERT_NE(files.Read()->prices, nullptr);
}

TEST_F(PlaceFilesTest, AFileThatGoesBadLeavesWhatWasReadAndOneThatGoesAwayDoesNot) {
  WriteRanges("me-south-1");
  WritePrices(5);
  PlaceFiles files(config_);
  Write("ip-ranges.json", "{\"createDate\":");
  files.Refresh();
  EXPECT_EQ(RegionIn(files), "me-south-1");
  EXPECT_THAT(files.Read()->problems,
              ElementsAre(HasSubstr("what was read before stays in force")));
  unlink((dir_ / "ip-ranges.json").c_str());
  files.Refresh();
  EXPECT_EQ(RegionIn(files), "");
}

TEST_F(PlaceFilesTest, WhoReadsKeepsHisTablesWhileTheyChange) {
  WriteRanges("me-south-1");
  PlaceFiles files(config_);
  const auto before = files.Read();
  WriteRanges("eu-west-1");
  files.Refresh();
  EXPECT_EQ(before->geo.Find(*IpAddress::Parse("203.0.113.1")).region, "me-south-1");
}

}  // namespace
}  // namespace culprit
