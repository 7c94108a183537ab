// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/routed_net.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace culprit::testing {
namespace {

void Shell(const std::string& command) {
  EXPECT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(concurrency-mt-unsafe)
}

int OwnMap(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::atoi(entry.path().filename().c_str());
    bpf_map_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.key_size == 8 && name == info.name)
      return fd;
  }
  return -1;
}

}  // namespace

RoutedNet::RoutedNet() : home_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
  static int made = 0;
  prefix_ = "culprit-" + std::to_string(getpid()) + "-" + std::to_string(made++) + "-";
  for (const char which : {'a', 'r', 'b'}) {
    Shell("ip netns add " + Name(which));
    Run(which, "ip link set lo up");
  }
  Shell("ip link add va netns " + Name('a') + " type veth peer name ra netns " + Name('r'));
  Shell("ip link add vb netns " + Name('b') + " type veth peer name rb netns " + Name('r'));
  Run('a', "ip addr add 192.0.2.2/24 dev va && ip link set va up");
  Run('r', "ip addr add 192.0.2.1/24 dev ra && ip link set ra up");
  Run('r', "ip addr add 198.51.100.1/24 dev rb && ip link set rb up");
  Run('b', "ip addr add 198.51.100.2/24 dev vb && ip link set vb up");
  Run('a', "ip route add default via 192.0.2.1");
  Run('b', "ip route add default via 198.51.100.1");
  Run('r', "sysctl -qw net.ipv4.ip_forward=1");
}

RoutedNet::~RoutedNet() {
  for (const char which : {'a', 'r', 'b'}) Shell("ip netns del " + Name(which));
}

std::string RoutedNet::Name(char which) const { return prefix_ + which; }

void RoutedNet::In(char which, const std::function<void()>& body) const {
  const UniqueFd there(open(("/run/netns/" + Name(which)).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(setns(there.get(), CLONE_NEWNET), 0);
  body();
  ASSERT_EQ(setns(home_.get(), CLONE_NEWNET), 0);
}

void RoutedNet::Run(char which, const std::string& command) const {
  Shell("ip netns exec " + Name(which) + " sh -c '" + command + "'");
}

std::uint32_t RoutedNet::Netns(char which) const {
  struct stat info {};
  EXPECT_EQ(stat(("/run/netns/" + Name(which)).c_str(), &info), 0);
  return static_cast<std::uint32_t>(info.st_ino);
}

std::uint32_t RoutedNet::Index(char which, const char* device) const {
  std::uint32_t index = 0;
  In(which, [&] { index = if_nametoindex(device); });
  return index;
}

DeviceCounters RoutedNet::Counters(char which, const std::string& device) const {
  DeviceCounters c;
  In(which, [&] {
    std::ifstream in("/proc/thread-self/net/dev");
    for (std::string line; std::getline(in, line);) {
      const auto colon = line.find(':');
      if (colon == std::string::npos ||
          line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' ')) != device)
        continue;
      std::istringstream fields(line.substr(colon + 1));
      std::uint64_t skip = 0;
      fields >> c.rx_bytes >> c.rx_packets;
      for (int i = 0; i < 6; ++i) fields >> skip;
      fields >> c.tx_bytes >> c.tx_packets;
    }
  });
  return c;
}

Address V4(const char* address, std::uint16_t port) {
  Address to = Loopback(AF_INET, port);
  reinterpret_cast<sockaddr_in*>(&to.storage)->sin_addr.s_addr = inet_addr(address);
  return to;
}

culprit_interface Ledger(std::uint32_t netns, std::uint32_t ifindex) {
  const std::uint32_t key[2] = {netns, ifindex};
  culprit_interface entry{};
  const int map = OwnMap("ledger");
  EXPECT_GE(map, 0);
  bpf_map_lookup_elem(map, key, &entry);
  return entry;
}

std::uint64_t Sum(const culprit_u64 (&classes)[CULPRIT_CLASS_COUNT]) {
  std::uint64_t sum = 0;
  for (const culprit_u64 n : classes) sum += n;
  return sum;
}

}  // namespace culprit::testing
