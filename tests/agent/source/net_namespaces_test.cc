// SPDX-License-Identifier: Apache-2.0
#include "agent/source/net_namespaces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace culprit {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr std::string_view kHead =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n";

struct Line {
  std::string_view name, text;
  std::size_t interfaces;
  std::string_view interface;
  std::uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets;
};

class NetDevTest : public ::testing::TestWithParam<Line> {};

TEST_P(NetDevTest, GivesTheInterfacesOfALine) {
  const Line& line = GetParam();
  const auto parsed = ParseNetDev(std::string(kHead) + std::string(line.text));
  ASSERT_EQ(parsed.size(), line.interfaces);
  if (parsed.empty()) return;
  EXPECT_EQ(parsed[0].name, line.interface);
  EXPECT_EQ(parsed[0].rx_bytes, line.rx_bytes);
  EXPECT_EQ(parsed[0].rx_packets, line.rx_packets);
  EXPECT_EQ(parsed[0].tx_bytes, line.tx_bytes);
  EXPECT_EQ(parsed[0].tx_packets, line.tx_packets);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, NetDevTest,
    ::testing::Values(
        Line{"Nothing", "", 0, "", 0, 0, 0, 0},
        Line{"Plain", "    lo:  12    3  0 0 0 0 0 0   45    6 0 0 0 0 0 0\n", 1, "lo", 12, 3, 45,
             6},
        Line{"NoSpaceAfterTheColon", "eth0:1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0", 1, "eth0", 1, 2, 3, 4},
        Line{"Alias", "eth0:1: 7 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n", 1, "eth0:1", 7, 2, 3, 4},
        Line{"SixtyFourBits", "e: 18446744073709551615 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n", 1, "e",
             ~0ULL, 2, 3, 4},
        Line{"Overflow", "e: 18446744073709551616 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n", 0, "", 0, 0, 0,
             0},
        Line{"Negative", "e: -1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n", 0, "", 0, 0, 0, 0},
        Line{"TooFewFields", "e: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n", 0, "", 0, 0, 0, 0},
        Line{"NameTooLong", "abcdefghijklmnop: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n", 0, "", 0, 0, 0,
             0},
        Line{"NoName", "  : 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n", 0, "", 0, 0, 0, 0}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(NetDevTest, AnyBytesAreRead) {
  std::mt19937 random(5);
  const std::string good = std::string(kHead) + "lo: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n";
  for (int i = 0; i < 5'000; ++i) {
    std::string text = good;
    for (int k = 0; k < 4; ++k) text[random() % text.size()] = static_cast<char>(random());
    EXPECT_LE(ParseNetDev(text.substr(0, random() % text.size())).size(), 10U);
  }
}

// A /proc of directories and links.
class NetNamespacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/culprit-netns-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Process(int pid, std::uint32_t netns, std::uint64_t tx_bytes) const {
    const std::string directory = root_ + "/" + std::to_string(pid);
    std::filesystem::remove_all(directory);
    std::filesystem::create_directories(directory + "/ns");
    std::filesystem::create_directories(directory + "/net");
    std::filesystem::create_symlink("net:[" + std::to_string(netns) + "]", directory + "/ns/net");
    std::ofstream(directory + "/net/dev")
        << kHead << "veth0: 1 2 0 0 0 0 0 0 " << tx_bytes << " 4 0 0 0 0 0 0\n";
  }
  void End(int pid) const { std::filesystem::remove_all(root_ + "/" + std::to_string(pid)); }

  std::string root_;
};

TEST_F(NetNamespacesTest, ReadsThroughAProcessThatLivesThere) {
  Process(10, 111, 5);
  Process(20, 222, 6);
  NetNamespaces namespaces(root_);
  const auto read = namespaces.Read(222, BootTime(1s));
  ASSERT_TRUE(read);
  ASSERT_THAT(*read, SizeIs(1));
  EXPECT_EQ((*read)[0].tx_bytes, 6U);
  EXPECT_EQ((*read)[0].netns, 222U);
  EXPECT_EQ((*read)[0].at, BootTime(1s));
  EXPECT_TRUE(namespaces.Read(111, BootTime(2s)));
  EXPECT_EQ(namespaces.scans(), 1U);
}

TEST_F(NetNamespacesTest, AProcessThatMovedOnIsNotReadFor) {
  Process(10, 111, 5);
  NetNamespaces namespaces(root_);
  ASSERT_TRUE(namespaces.Read(111, BootTime(1s)));
  Process(10, 333, 5);
  EXPECT_FALSE(namespaces.Read(111, BootTime(2s)));
  Process(30, 111, 7);
  EXPECT_FALSE(namespaces.Read(111, BootTime(50s))) << "the next scan is not due";
  const auto read = namespaces.Read(111, BootTime(62s));
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)[0].tx_bytes, 7U);
}

TEST_F(NetNamespacesTest, ADesertedNamespaceCostsOneScanAMinuteAndANewOneIsLookedForAtOnce) {
  Process(10, 111, 5);
  NetNamespaces namespaces(root_);
  for (int s = 1; s < 60; ++s) {
    EXPECT_FALSE(namespaces.Read(999, BootTime(std::chrono::seconds(s))));
  }
  EXPECT_EQ(namespaces.scans(), 1U);
  Process(40, 444, 8);
  EXPECT_TRUE(namespaces.Read(444, BootTime(59s)));
  EXPECT_EQ(namespaces.scans(), 2U);
}

}  // namespace
}  // namespace culprit
