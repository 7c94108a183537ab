// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/link_watch.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <random>

namespace culprit {
namespace {

template <class T>
std::string Bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string Attribute(unsigned short type, const std::string& value) {
  const rtattr header{static_cast<unsigned short>(sizeof(rtattr) + value.size()), type};
  std::string bytes = Bytes(header) + value;
  bytes.resize((bytes.size() + 3) / 4 * 4);
  return bytes;
}

std::string Message(std::uint16_t type, const std::string& body) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof(header) + body.size());
  header.nlmsg_type = type;
  return Bytes(header) + body;
}

std::string LinkMessage(int index, const char* name, unsigned flags, bool enslaved) {
  ifinfomsg info{};
  info.ifi_index = index;
  info.ifi_flags = flags;
  std::string body = Bytes(info) + Attribute(IFLA_IFNAME, std::string(name) + '\0');
  if (enslaved) body += Attribute(IFLA_MASTER, std::string(4, '\1'));
  return Message(RTM_NEWLINK, body);
}

TEST(LinkWatchTest, ReadsADumpOfLinks) {
  const std::string dump = LinkMessage(1, "lo", IFF_UP | IFF_LOOPBACK, false) +
                           LinkMessage(2, "eth0", IFF_UP, false) +
                           LinkMessage(3, "veth3", IFF_UP, true) + LinkMessage(4, "down", 0, false);
  std::vector<Link> links;
  EXPECT_FALSE(ParseLinks(dump, &links));
  EXPECT_TRUE(ParseLinks(Message(NLMSG_DONE, std::string(4, '\0')), &links));
  ASSERT_EQ(links.size(), 4U);
  EXPECT_TRUE(links[0].loopback && links[0].up && !links[0].enslaved);
  EXPECT_EQ(links[1].name, "eth0");
  EXPECT_EQ(links[1].index, 2U);
  EXPECT_FALSE(links[1].loopback);
  EXPECT_TRUE(links[2].enslaved);
  EXPECT_FALSE(links[3].up);
}

TEST(LinkWatchTest, AnyCutAndAnyDamageEndsWithoutHarm) {
  const std::string dump = LinkMessage(2, "eth0", IFF_UP, true) + LinkMessage(3, "eth1", 0, false);
  for (std::size_t n = 0; n <= dump.size(); ++n) {
    std::vector<Link> links;
    ParseLinks(std::string(dump, 0, n), &links);
    EXPECT_LE(links.size(), 2U);
  }
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = dump;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    std::vector<Link> links;
    ParseLinks(damaged, &links);
    EXPECT_LE(links.size(), 4U);
  }
}

TEST(LinkWatchTest, ListsTheLinksOfThisHost) {
  const auto watch = LinkWatch::Open();
  ASSERT_TRUE(watch) << watch.error().message;
  const auto links = watch->List();
  ASSERT_TRUE(links) << links.error().message;
  EXPECT_TRUE(std::any_of(links->begin(), links->end(),
                          [](const Link& link) { return link.name == "lo" && link.loopback; }));
}

}  // namespace
}  // namespace culprit
