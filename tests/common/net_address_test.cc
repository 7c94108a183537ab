// SPDX-License-Identifier: Apache-2.0
#include "common/net_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace culprit {
namespace {

IpAddress Address(std::string_view text) { return IpAddress::Parse(text).value(); }

// Half of them share a beginning, so that the second word decides, and a third are IPv4.
IpAddress Random(std::mt19937& random) {
  std::string bytes(16, '\x20');
  const std::size_t from = random() % 2 == 0 ? 0 : 8 + random() % 8;
  for (std::size_t i = from; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random());
  if (random() % 3 == 0) bytes = bytes.substr(12);
  return IpAddress::FromBytes(bytes).value();
}

TEST(IpAddressTest, AreInTheOrderOfTheirBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const IpAddress a = Random(random), b = Random(random);
    ASSERT_EQ(a < b, a.AsBytes() < b.AsBytes()) << a.ToString() << " " << b.ToString();
    ASSERT_EQ(a == b, a.AsBytes() == b.AsBytes()) << a.ToString() << " " << b.ToString();
    ASSERT_EQ(a, IpAddress(a));
  }
}

TEST(IpAddressTest, AreWrittenAsTheSystemWritesThem) {
  std::mt19937 random(2);
  for (int i = 0; i < 20'000; ++i) {
    const IpAddress a = Random(random);
    char text[INET6_ADDRSTRLEN];
    inet_ntop(a.IsV4() ? AF_INET : AF_INET6, a.bytes().data() + (a.IsV4() ? 12 : 0), text,
              sizeof(text));
    ASSERT_EQ(a.ToString(), text);
    ASSERT_EQ(Address(text), a);
  }
  for (const char* text : {"0.0.0.0", "255.255.255.255", "10.0.200.9", "::", "::1"}) {
    EXPECT_EQ(Address(text).ToString(), text);
  }
}

TEST(IpAddressTest, AMappedAddressIsThePlainOne) {
  EXPECT_EQ(Address("::ffff:192.0.2.1"), Address("192.0.2.1"));
  EXPECT_EQ(Address("::ffff:192.0.2.1").ToString(), "192.0.2.1");
  EXPECT_EQ(std::hash<IpAddress>{}(Address("::ffff:192.0.2.1")),
            std::hash<IpAddress>{}(Address("192.0.2.1")));
}

TEST(IpAddressTest, IsPublicOutsideTheRangesThatAreNot) {
  for (const char* text :
       {"0.0.0.0", "127.0.0.1", "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255",
        "192.168.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "::", "::1",
        "fc00::1", "fdff::1", "fe80::1", "febf::1", "ff02::1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(Address(text).IsPublic()) << text;
  }
  for (const char* text : {"9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0",
                           "192.167.255.255", "169.253.0.1", "100.63.0.1", "100.128.0.1",
                           "223.255.255.255", "203.0.113.1", "2001:db8::1", "fec0::1"}) {
    EXPECT_TRUE(Address(text).IsPublic()) << text;
  }
}

TEST(EndpointTest, IsReadAsItIsWritten) {
  for (const char* text : {"192.0.2.1:443", "[2001:db8::1]:65535", "[::]:1", "0.0.0.0:53"}) {
    const auto endpoint = Endpoint::Parse(text);
    ASSERT_TRUE(endpoint) << endpoint.error().message;
    EXPECT_EQ(endpoint->ToString(), text);
  }
  EXPECT_EQ(Endpoint::Parse("2001:db8::1").value(), (Endpoint{Address("2001:db8::1"), 0}));
  for (const char* text : {"", "192.0.2.1:", "192.0.2.1:65536", "[::1", "[::1]443",
                           "[::1]:", "host:1", "192.0.2.1:-1"}) {
    EXPECT_FALSE(Endpoint::Parse(text)) << text;
  }
}

TEST(CidrTest, HoldsItsFirstAndLastAddressAndNoneBesideThem) {
  struct Row {
    const char *block, *below, *first, *last, *above;
  };
  for (const Row& row :
       {Row{"192.0.2.77/24", "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
        Row{"10.0.0.4/31", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"},
        Row{"2001:db8::/33", "2001:db7:ffff::", "2001:db8::",
            "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", "2001:db8:8000::"},
        Row{"198.51.100.7", "198.51.100.6", "198.51.100.7", "198.51.100.7", "198.51.100.8"}}) {
    const auto block = Cidr::Parse(row.block);
    ASSERT_TRUE(block) << row.block;
    EXPECT_EQ(block->First().ToString(), row.first);
    EXPECT_EQ(block->Last().ToString(), row.last);
    EXPECT_TRUE(block->Contains(Address(row.first)) && block->Contains(Address(row.last)));
    EXPECT_FALSE(block->Contains(Address(row.below)) || block->Contains(Address(row.above)));
  }
  for (const char* text :
       {"192.0.2.0/33", "2001:db8::/129", "192.0.2.0/", "192.0.2.0/-1", "/24", "192.0.2.0/2x"}) {
    EXPECT_FALSE(Cidr::Parse(text)) << text;
  }
}

}  // namespace
}  // namespace culprit
