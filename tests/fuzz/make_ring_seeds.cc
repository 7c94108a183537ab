// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of fuzz_ring: make_ring_seeds CORPUS_DIR
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "agent/ring/segment_index.h"
#include "common/file.h"

namespace culprit {
namespace {

std::string Index(std::uint64_t entries) {
  SegmentIndex index;
  for (std::uint64_t i = 1; i <= entries; ++i) {
    index.AddPacket(static_cast<std::int64_t>(i), FlowId{i}, ProcessId{i});
    const std::uint8_t address[4] = {192, 0, 2, static_cast<std::uint8_t>(i)};
    index.AddAddress(IpAddress::FromV4Bytes(address));
  }
  index.AddInterface("eth0");
  return index.Encode();
}

std::string Links() {
  struct {
    nlmsghdr header;
    ifinfomsg info;
    rtattr name;
    char text[8];
  } message{};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = RTM_NEWLINK;
  message.info.ifi_index = 2;
  message.info.ifi_flags = IFF_UP;
  message.name.rta_len = sizeof(rtattr) + 5;
  message.name.rta_type = IFLA_IFNAME;
  std::memcpy(message.text, "eth0", 5);
  std::string bytes(reinterpret_cast<const char*>(&message), sizeof(message));
  return bytes + bytes;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string directory = std::string(argv[1]) + "/fuzz_ring/";
  const bool ok =
      culprit::MakeDirectories(directory, 0755) &&
      culprit::WriteFileAtomically(directory + "index", culprit::Index(5), 0644) &&
      culprit::WriteFileAtomically(directory + "empty_index", culprit::Index(0), 0644) &&
      culprit::WriteFileAtomically(directory + "links", culprit::Links(), 0644);
  if (!ok) std::fprintf(stderr, "cannot write %s\n", directory.c_str());
  return ok ? 0 : 1;
}
