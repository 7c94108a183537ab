// SPDX-License-Identifier: Apache-2.0
#include "collector/geo/mmdb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/geo/geo_tables.h"
#include "common/file.h"
#include "tests/support/mmdb_builder.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using testing::BuildMmdb;
using ::testing::HasSubstr;
using testing::MmdbMap;
using testing::MmdbText;
using testing::MmdbUint32;

class MmdbTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomically(dir_ / name, bytes));
    return dir_ / name;
  }
  std::string Countries() {
    const std::string nested = MmdbMap({{"country", MmdbMap({{"iso_code", MmdbText("BH")}})}});
    const std::string flat = MmdbMap({{"country_code", MmdbText("IN")}});
    return Write("country.mmdb", BuildMmdb("Test-Country", 1'772'323'200,
                                           {{"203.0.113.0/24", nested}, {"2001:db8::/32", flat}}));
  }
  std::string Networks() {
    const std::string data = MmdbMap({{"autonomous_system_number", MmdbUint32(64496)},
                                      {"autonomous_system_organization", MmdbText("Example")},
                                      {"country_code", MmdbText("XX")}});
    return Write("asn.mmdb", BuildMmdb("Test-ASN", 1, {{"203.0.113.128/25", data}}));
  }
  static NetworkPlace At(const MmdbFiles& files, const std::string& address) {
    return files.Find(*IpAddress::Parse(address));
  }
  TempDir dir_;
};

TEST_F(MmdbTest, FindsTheCountryInBothFormsThatFilesUse) {
  const auto files = MmdbFiles::Open({Countries()});
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(At(*files, "203.0.113.1").country, "BH");
  EXPECT_EQ(At(*files, "2001:db8::1").country, "IN");
  EXPECT_EQ(At(*files, "192.0.2.1").country, "");
}

TEST_F(MmdbTest, TheFirstFileThatSaysSomethingHolds) {
  const auto files = MmdbFiles::Open({Countries(), Networks()});
  ASSERT_TRUE(files) << files.error().message;
  const NetworkPlace place = At(*files, "203.0.113.200");
  EXPECT_EQ(place.country, "BH");
  EXPECT_EQ(place.asn, 64496U);
  EXPECT_EQ(place.as_name, "Example");
  EXPECT_EQ(At(*files, "203.0.113.1").asn, 0U);
}

TEST_F(MmdbTest, SaysWhatEachFileIs) {
  const auto files = MmdbFiles::Open({Countries()});
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->info().size(), 1U);
  EXPECT_EQ(files->info()[0].type, "Test-Country");
  EXPECT_EQ(FormatUtc(files->info()[0].built), "2026-03-01T00:00:00.000Z");
}

TEST_F(MmdbTest, AFileThatIsNoneIsNamed) {
  const std::string path = Write("x.mmdb", "not a database");
  const auto bad = MmdbFiles::Open({path});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalidArgument);
  EXPECT_THAT(bad.error().message, HasSubstr(path + ": not a MaxMind DB"));
  const auto missing = MmdbFiles::Open({dir_ / "none.mmdb"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("none.mmdb"));
}

TEST_F(MmdbTest, BytesThatAreDamagedNeverCrash) {
  const std::string good =
      BuildMmdb("Test", 1, {{"203.0.113.0/24", MmdbMap({{"country_code", MmdbText("BH")}})}});
  for (std::size_t at = 0; at < good.size(); at += 7) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x5a);
    const auto files = MmdbFiles::Open({Write("bad.mmdb", bad)});
    if (!files) continue;
    EXPECT_LE(At(*files, "203.0.113.1").country.size(), 128U);
  }
}

TEST_F(MmdbTest, TablesJoinWhatAwsAndTheFilesSay) {
  GeoTables tables;
  EXPECT_EQ(tables.Find(*IpAddress::Parse("203.0.113.200")).region, "");
  tables.aws = std::make_shared<IpRanges>(*IpRanges::Parse(
      R"({"createDate":"2026-08-22-15-17-05","ipv6_prefixes":[],"prefixes":[)"
      R"({"ip_prefix":"203.0.113.0/24","region":"me-south-1","service":"EC2"}]})"));
  auto files = MmdbFiles::Open({Networks()});
  ASSERT_TRUE(files);
  tables.networks = std::make_shared<MmdbFiles>(std::move(*files));
  const GeoPlace place = tables.Find(*IpAddress::Parse("203.0.113.200"));
  EXPECT_EQ(place.region, "me-south-1");
  EXPECT_EQ(place.service, "EC2");
  EXPECT_EQ(place.asn, 64496U);
}

}  // namespace
}  // namespace culprit
