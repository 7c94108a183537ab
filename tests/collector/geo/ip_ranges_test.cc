// SPDX-License-Identifier: Apache-2.0
#include "collector/geo/ip_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include <random>

namespace culprit {
namespace {

using ::testing::HasSubstr;

struct Row {
  std::string prefix, region, service;
};

std::string JsonOf(const std::vector<Row>& rows) {
  std::string v4, v6;
  for (const Row& row : rows) {
    const bool six = row.prefix.find(':') != std::string::npos;
    std::string& list = six ? v6 : v4;
    list +=
        fmt::format(R"({}{{"{}":"{}","region":"{}","service":"{}","network_border_group":"{}"}})",
                    list.empty() ? "" : ",", six ? "ipv6_prefix" : "ip_prefix", row.prefix,
                    row.region, row.service, row.region);
  }
  return fmt::format(
      R"({{"syncToken":"1","createDate":"2026-08-22-15-17-05","prefixes":[{}],"ipv6_prefixes":[{}]}})",
      v4, v6);
}

std::string At(const IpRanges& ranges, const std::string& address) {
  const AwsPlace* place = ranges.Find(*IpAddress::Parse(address));
  return place == nullptr ? "-" : place->region + " " + place->service;
}

IpRanges Parsed(const std::vector<Row>& rows) {
  auto ranges = IpRanges::Parse(JsonOf(rows));
  EXPECT_TRUE(ranges) << ranges.error().message;
  return ranges ? std::move(*ranges) : IpRanges();
}

const std::vector<Row>& Documentation() {
  static const std::vector<Row> kRows = {
      {"198.51.100.0/24", "us-east-1", "EC2"},      {"198.51.100.0/24", "us-east-1", "AMAZON"},
      {"198.51.100.128/25", "us-east-1", "S3"},     {"198.51.100.128/25", "us-east-1", "AMAZON"},
      {"203.0.113.0/24", "me-south-1", "AMAZON"},   {"203.0.113.0/24", "me-south-1", "EC2"},
      {"203.0.113.64/26", "me-south-1", "AMAZON"},  {"203.0.113.96/28", "GLOBAL", "AMAZON"},
      {"203.0.113.100/32", "me-south-1", "AMAZON"}, {"2001:db8:1::/48", "eu-west-1", "AMAZON"},
      {"2001:db8:1:8000::/49", "eu-west-1", "EC2"},
  };
  return kRows;
}

TEST(IpRangesTest, TheLongestPrefixSaysTheRegionAndTheClosestServiceHolds) {
  const IpRanges ranges = Parsed(Documentation());
  const std::pair<const char*, const char*> cases[] = {
      {"198.51.99.255", "-"},
      {"198.51.100.0", "us-east-1 EC2"},
      {"198.51.100.127", "us-east-1 EC2"},
      {"198.51.100.128", "us-east-1 S3"},
      {"198.51.100.255", "us-east-1 S3"},
      {"198.51.101.0", "-"},
      {"203.0.113.1", "me-south-1 EC2"},
      {"203.0.113.70", "me-south-1 EC2"},  // a longer AMAZON says nothing closer
      {"203.0.113.96", "GLOBAL AMAZON"},   // of another region
      {"203.0.113.100", "me-south-1 EC2"},
      {"203.0.113.101", "GLOBAL AMAZON"},
      {"203.0.113.112", "me-south-1 EC2"},
      {"2001:db8:1::1", "eu-west-1 AMAZON"},
      {"2001:db8:1:8000::1", "eu-west-1 EC2"},
      {"2001:db8:2::", "-"},
      {"::", "-"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "-"},
  };
  for (const auto& [address, place] : cases) EXPECT_EQ(At(ranges, address), place) << address;
}

TEST(IpRangesTest, SaysWhenTheListWasMadeAndHowLongItIs) {
  const IpRanges ranges = Parsed(Documentation());
  EXPECT_EQ(FormatUtc(ranges.created()), "2026-08-22T15:17:05.000Z");
  EXPECT_EQ(ranges.prefixes(), Documentation().size());
}

TEST(IpRangesTest, ThePrefixOfEverythingHasAnEnd) {
  const IpRanges ranges = Parsed({{"::/0", "r", "AMAZON"}});
  EXPECT_EQ(At(ranges, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "r AMAZON");
  EXPECT_EQ(At(ranges, "192.0.2.1"), "r AMAZON");
}

// What Find() promises, said without borders.
std::string Slowly(const std::vector<Row>& rows, const IpAddress& address) {
  const auto length = [](const Row& row) { return Cidr::Parse(row.prefix)->prefix_length; };
  const auto closer = [](const Row& row) {
    return row.service == "AMAZON" ? 0 : row.service == "EC2" ? 1 : 2;
  };
  std::vector<Row> around;
  for (const Row& row : rows) {
    if (Cidr::Parse(row.prefix)->Contains(address)) around.push_back(row);
  }
  if (around.empty()) return "-";
  std::ranges::sort(around, [&](const Row& a, const Row& b) {
    return std::tuple(length(a), closer(a)) > std::tuple(length(b), closer(b));
  });
  const std::string& region = around[0].region;
  for (const Row& row : around) {
    if (row.region == region && row.service != "AMAZON") return region + " " + row.service;
  }
  return region + " AMAZON";
}

TEST(IpRangesTest, AgreesWithASearchThroughAllPrefixes) {
  std::mt19937 random(7);
  const auto upto = [&random](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (int round = 0; round < 50; ++round) {
    std::vector<Row> rows;
    std::set<std::string> taken;
    for (int i = 0; i < 40; ++i) {
      const std::uint32_t length = 24 + upto(9);
      const std::uint32_t host = upto(256) & ~((1U << (32 - length)) - 1);
      const std::string prefix = fmt::format("192.0.2.{}/{}", host, length);
      // One region a prefix, as AWS has it.
      if (!taken.insert(prefix).second) continue;
      const std::string region = fmt::format("r-{}", upto(3));
      rows.push_back({prefix, region, "AMAZON"});
      if (upto(2) == 0) rows.push_back({prefix, region, upto(2) == 0 ? "EC2" : "S3"});
    }
    const IpRanges ranges = Parsed(rows);
    for (std::uint32_t host = 0; host < 256; ++host) {
      const std::string address = fmt::format("192.0.2.{}", host);
      ASSERT_EQ(At(ranges, address), Slowly(rows, *IpAddress::Parse(address))) << address;
    }
  }
}

TEST(IpRangesTest, AnErrorSaysWhatIsWrongAndWhere) {
  const std::string good = JsonOf(Documentation());
  const auto with = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "not a JSON object"},
      {good.substr(0, good.size() / 2), "was it cut off?"},
      {"[]", "not a JSON object"},
      {"<html>not found</html>", "ip-ranges.amazonaws.com"},
      {with("\"prefixes\"", "\"others\""), "no list \"prefixes\""},
      {with("\"ipv6_prefixes\"", "\"others\""), "no list \"ipv6_prefixes\""},
      {with("198.51.100.128/25", "198.51.100.128/255"), "prefixes[2]"},
      {with("\"region\":\"us-east-1\"", "\"region\":7"), "prefixes[0]: no \"region\""},
      {with("\"service\":\"S3\"", R"("service":"S3\u001b[2J")"), "prefixes[2]: no \"service\""},
      {with("2026-08-22-15-17-05", "yesterday"), "createDate: expected YYYY-MM-DD-hh-mm-ss"},
      {with("2026-08-22", "2026-02-30"), "createDate: no date"},
      {JsonOf({}), "no prefix in it"},
  };
  for (const auto& [text, words] : cases) {
    const auto ranges = IpRanges::Parse(text);
    ASSERT_FALSE(ranges) << words;
    EXPECT_EQ(ranges.error().code, Code::kInvalidArgument);
    EXPECT_THAT(ranges.error().message, HasSubstr(words));
  }
}

}  // namespace
}  // namespace culprit
