// SPDX-License-Identifier: Apache-2.0
#include "collector/cost/route.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

class RouteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto ranges = IpRanges::Parse(
        R"({"createDate":"2026-08-22-15-17-05","ipv6_prefixes":[],"prefixes":[)"
        R"({"ip_prefix":"203.0.113.0/24","region":"me-south-1","service":"EC2"},)"
        R"({"ip_prefix":"198.51.100.0/25","region":"ap-south-1","service":"S3"},)"
        R"({"ip_prefix":"198.51.100.128/25","region":"GLOBAL","service":"CLOUDFRONT"}]})");
    ASSERT_TRUE(ranges) << ranges.error().message;
    geo_.aws = std::make_shared<IpRanges>(std::move(*ranges));
    Add(1, {"ap-south-1", "ap-south-1a"}, "10.0.0.1");
    Add(2, {"ap-south-1", "ap-south-1a"}, "10.0.0.2");
    Add(3, {"ap-south-1", "ap-south-1b"}, "10.0.0.3");
    Add(4, {"ap-south-1", ""}, "10.0.0.4");
    Add(5, {"us-east-1", "us-east-1a"}, "10.0.0.5");
    Add(6, {"", ""}, "10.0.0.6");
    Add(7, {"us-east-1", "us-east-1a"}, "10.9.9.9");
    Add(8, {"us-east-1", "us-east-1a"}, "10.9.9.9");
  }
  void Add(std::uint32_t host, HostSite site, const std::string& address) {
    book_.Add(host, site, *IpAddress::Parse(address));
  }
  std::string From(const HostSite& site, const std::string& remote) {
    return RouteOf(1, site, *IpAddress::Parse(remote), geo_, book_).ToString();
  }
  GeoTables geo_;
  HostBook book_;
};

TEST_F(RouteTest, IsToldByBothEndsAndNeverGuessed) {
  const HostSite here{"ap-south-1", "ap-south-1a"};
  const std::pair<const char*, const char*> cases[] = {
      {"127.0.0.1", "local"},
      {"10.0.0.1", "local"},
      {"169.254.169.254", "local"},
      {"224.0.0.251", "local"},
      {"255.255.255.255", "local"},
      {"fe80::1", "local"},
      {"ff02::fb", "local"},
      {"10.0.0.2", "same zone"},
      {"10.0.0.3", "cross zone"},
      {"10.0.0.4", "unknown: availability zone is not known"},
      {"10.0.0.5", "ap-south-1 -> us-east-1"},
      {"10.0.0.6", "unknown: region of the other host is not known"},
      {"10.9.9.9", "unknown: private address of no host with an agent"},
      {"10.7.7.7", "unknown: private address of no host with an agent"},
      {"203.0.113.9", "ap-south-1 -> me-south-1"},
      {"198.51.100.1", "AWS S3 in ap-south-1"},
      {"198.51.100.200", "AWS CLOUDFRONT in ap-south-1"},
      {"192.0.2.1", "ap-south-1 -> internet"},
  };
  for (const auto& [remote, way] : cases) EXPECT_EQ(From(here, remote), way) << remote;
}

TEST_F(RouteTest, WithoutRegionOrListNothingPublicIsKnown) {
  EXPECT_EQ(From({}, "192.0.2.1"), "unknown: region of the host is not known");
  EXPECT_EQ(From({}, "127.0.0.1"), "local");
  geo_.aws = nullptr;
  EXPECT_EQ(From({"ap-south-1", ""}, "192.0.2.1"), "unknown: no ip-ranges.json");
}

}  // namespace
}  // namespace culprit
