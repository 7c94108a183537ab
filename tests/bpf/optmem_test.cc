// SPDX-License-Identifier: Apache-2.0
// A socket that may not hold any storage (net.core.optmem_max): traffic goes on, the loss is
// counted, no owner is guessed. Needs root (label bpf), and a kernel where the limit belongs to the
// network namespace (6.8).
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/bpf/live.h"

namespace culprit::testing {
namespace {

constexpr int kLimitIsOfTheHost = 77;

bool LoopbackUp() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof(request.ifr_name), "lo");
  request.ifr_flags = IFF_UP;
  return ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

// In a namespace of its own without room for storage: a TCP exchange of 1000 bytes and a datagram.
// 0: all of it arrived.
int TalkWithoutStorage() {
  if (unshare(CLONE_NEWNET) != 0 || !LoopbackUp()) return 1;
  const char* const limit = "/proc/sys/net/core/optmem_max";
  if (access(limit, W_OK) != 0) return kLimitIsOfTheHost;
  std::ofstream(limit) << 1 << std::flush;
  const UniqueFd listener = Bound(AF_INET, SOCK_STREAM);
  if (listen(listener.get(), 1) != 0) return 2;
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address to = Local(listener.get());
  if (connect(fd.get(), to.get(), to.length) != 0) return 3;
  const UniqueFd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!SendAll(fd.get(), 1000) || ReceiveAll(accepted.get(), 1000) != 1000) return 4;
  const UniqueFd receiver = Bound(AF_INET, SOCK_DGRAM);
  const Address there = Local(receiver.get());
  const UniqueFd sender(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (sendto(sender.get(), "x", 1, 0, there.get(), there.length) != 1) return 5;
  return ReceiveAll(receiver.get(), 1) == 1 ? 0 : 6;
}

TEST(OptmemTest, WithoutRoomForStorageTrafficGoesOnTheLossIsCountedAndNoOwnerIsGuessed) {
  Live live;
  ASSERT_TRUE(live.ok());
  const auto before = live.lost;
  Child child(TalkWithoutStorage);
  const int exit = child.Wait();
  if (exit == kLimitIsOfTheHost) GTEST_SKIP() << "optmem_max is a limit of the whole host here";
  ASSERT_EQ(exit, 0);
  EXPECT_TRUE(live.Until([&] {
    return live.lost.stat[CULPRIT_STAT_OWNER_STORAGE_FAILED] >
               before.stat[CULPRIT_STAT_OWNER_STORAGE_FAILED] &&
           live.lost.stat[CULPRIT_STAT_FLOW_STORAGE_FAILED] >
               before.stat[CULPRIT_STAT_FLOW_STORAGE_FAILED];
  }));
  for (const culprit_flow& flow : live.flows) {
    if (flow.owner.tgid == static_cast<__u32>(child.pid())) {
      ADD_FAILURE() << "a flow without storage has an owner: " << live.Text(flow.cookie);
    }
  }
}

}  // namespace
}  // namespace culprit::testing
