// SPDX-License-Identifier: Apache-2.0
// Processes, degraded modes and host checks of the kernel source. Needs root (label bpf).
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>

#include "agent/source/bpf_loader.h"
#include "tests/bpf/live.h"

namespace culprit::testing {
namespace {

TEST(Process, AShortLifeLeavesForkExecWithArgumentsAndExit) {
  Live live;
  ASSERT_TRUE(live.ok());
  Child child([] {
    execl("/bin/sh", "sh", "-c", "exit 7", "marker argument", nullptr);
    return 99;
  });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  child.Wait();
  const culprit_exit* exit = nullptr;
  ASSERT_TRUE(live.Until([&] {
    for (const auto& e : live.exits) {
      if (e.key.tgid == pid) exit = &e;
    }
    return exit != nullptr;
  }));
  EXPECT_EQ(exit->exit_code, 7 << 8);
  const culprit_exec* exec = nullptr;
  for (const auto& e : live.execs) {
    if (e.key.tgid == pid) exec = &e;
  }
  ASSERT_NE(exec, nullptr);
  const std::string expected("sh\0-c\0exit 7\0marker argument\0", 29);
  EXPECT_EQ(std::string(exec->args, exec->args_len), expected);
  EXPECT_EQ(exec->parent.tgid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(exec->previous.exec_id + 1, exec->key.exec_id);
  EXPECT_NE(exec->exe.inode, 0U);
  EXPECT_EQ(exec->exe.nlink, 1U);
  char* real = realpath("/bin/sh", nullptr);
  EXPECT_EQ(std::string(exec->path), std::string(real));
  free(real);
  const bool forked = std::any_of(live.forks.begin(), live.forks.end(), [&](const culprit_fork& f) {
    return f.child.tgid == pid && f.parent.tgid == static_cast<std::uint32_t>(getpid()) &&
           f.child.start_boot_ns == exec->key.start_boot_ns;
  });
  EXPECT_TRUE(forked);
}

TEST(Process, WhatRanBeforeIsFoundWithItsArguments) {
  Live live;
  ASSERT_TRUE(live.ok());
  const auto me = std::find_if(live.execs.begin(), live.execs.end(), [](const culprit_exec& e) {
    return e.key.tgid == static_cast<std::uint32_t>(getpid());
  });
  ASSERT_NE(me, live.execs.end());
  EXPECT_TRUE(me->flags & CULPRIT_EXEC_FROM_ITERATOR);
  EXPECT_NE(std::string(me->path).find("bpf_"), std::string::npos);
  EXPECT_NE(std::string(me->args, me->args_len).find("bpf_"), std::string::npos);
  EXPECT_TRUE(std::any_of(live.execs.begin(), live.execs.end(), [](const culprit_exec& e) {
    return (e.flags & CULPRIT_EXEC_KERNEL_THREAD) != 0;
  }));
}

TEST(Process, AnExecutableInMemoryIsFlagged) {
  Live live;
  ASSERT_TRUE(live.ok());
  Child child([] {
    const int fd = memfd_create("hidden", MFD_CLOEXEC);
    FILE* in = fopen("/bin/true", "r");
    char buffer[4096];
    std::size_t n = 0;
    if (in == nullptr) return 97;
    while ((n = fread(buffer, 1, sizeof(buffer), in)) > 0) {
      if (write(fd, buffer, n) < 0) return 96;
    }
    char name[] = "hidden";
    char* argv[] = {name, nullptr};
    fexecve(fd, argv, environ);
    return 95;
  });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  EXPECT_EQ(child.Wait(), 0);
  const culprit_exec* exec = nullptr;
  EXPECT_TRUE(live.Until([&] {
    for (const auto& e : live.execs) {
      if (e.key.tgid == pid) exec = &e;
    }
    return exec != nullptr;
  }));
  ASSERT_NE(exec, nullptr);
  EXPECT_TRUE(exec->flags & CULPRIT_EXEC_MEMFD) << exec->path;
  EXPECT_EQ(exec->exe.nlink, 0U);
}

// In a network namespace with one address and a neighbour that never answers.
int Run(const char* command) { return system(command); }
int InDeadNet(const std::function<int()>& body) {
  if (unshare(CLONE_NEWNET) != 0) return 90;
  if (Run("ip link add c0 type veth peer name c1 && ip addr add 192.0.2.1/24 dev c0 && "
          "ip link set c0 up && ip link set c1 up && "
          "ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:09 nud permanent dev c0") != 0) {
    return 91;
  }
  return body();
}
Address Dead(const char* address) {
  Address to = Loopback(AF_INET, 4444);
  reinterpret_cast<sockaddr_in*>(&to.storage)->sin_addr.s_addr = inet_addr(address);
  return to;
}

struct Outcome {
  const char* name;
  const char* address;
  bool close_early;
  int error;
  std::uint32_t flag;
  int outcome;
};
class OutcomeTest : public ::testing::TestWithParam<Outcome> {};

TEST_P(OutcomeTest, OfAConnectIsTold) {
  const auto& c = GetParam();
  Live live;
  ASSERT_TRUE(live.ok());
  Child child([&] {
    return InDeadNet([&] {
      const UniqueFd fd(socket(AF_INET, SOCK_STREAM | (c.close_early ? SOCK_NONBLOCK : 0), 0));
      const int one = 1;
      setsockopt(fd.get(), IPPROTO_TCP, TCP_SYNCNT, &one, sizeof(one));
      const Address to = Dead(c.address);
      return connect(fd.get(), to.get(), to.length) == 0 ? 1 : 0;
    });
  });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  ASSERT_EQ(child.Wait(), 0);
  const culprit_flow* failed = nullptr;
  EXPECT_TRUE(live.Until([&] {
    for (const auto& flow : live.flows) {
      if (flow.owner.tgid == pid && flow.reason == CULPRIT_FLOW_FAILED) failed = &flow;
    }
    return failed != nullptr && live.Counters(pid).has_value();
  }));
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->error, c.error);
  EXPECT_EQ(failed->flags & (CULPRIT_FLOW_ABORTED | CULPRIT_FLOW_NOT_SENT), c.flag);
  EXPECT_EQ(failed->remote_port, 4444);
  EXPECT_EQ(live.Counters(pid)->outcome[c.outcome], 1U);
}
INSTANTIATE_TEST_SUITE_P(Connects, OutcomeTest,
                         ::testing::Values(Outcome{"timed_out", "192.0.2.9", false, ETIMEDOUT, 0,
                                                   CULPRIT_OUTCOME_TIMED_OUT},
                                           Outcome{"aborted", "192.0.2.9", true, 0,
                                                   CULPRIT_FLOW_ABORTED, CULPRIT_OUTCOME_ABORTED},
                                           Outcome{"not_sent", "198.51.100.9", false, 0,
                                                   CULPRIT_FLOW_NOT_SENT,
                                                   CULPRIT_OUTCOME_NOT_SENT}),
                         [](const auto& param) { return std::string(param.param.name); });

class DegradedTest : public ::testing::TestWithParam<std::string> {};

TEST_P(DegradedTest, WithoutOneHookItRunsAndSaysSo) {
  BpfSourceOptions options;
  options.disabled_hooks = {GetParam()};
  Live live(options);
  ASSERT_TRUE(live.ok());
  bool said = false;
  for (const auto& hook : live.source().fidelity().hooks) {
    if (hook.name == GetParam()) said = !hook.active && !hook.note.empty();
  }
  EXPECT_TRUE(said);
  const UniqueFd listener = Bound(AF_INET, SOCK_STREAM);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  const Address to = Local(listener.get());
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto cookie = Cookie(fd.get());
  ASSERT_EQ(connect(fd.get(), to.get(), to.length), 0);
  const auto flow = live.Await(cookie, CULPRIT_FLOW_ESTABLISHED);
  EXPECT_EQ(flow.owner.tgid, static_cast<std::uint32_t>(getpid()));
}
INSTANTIATE_TEST_SUITE_P(Hooks, DegradedTest,
                         ::testing::Values("sock_create", "connect4", "sock_release",
                                           "inet_sock_set_state", "tcp_destroy_sock",
                                           "sock_send_length", "sock_recv_length", "net_dev_queue",
                                           "iter/task", "iter/task_file", "iter/forwards"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name) c = c == '/' ? '_' : c;
                           return name;
                         });

TEST(Degraded, WithoutSendLengthTheSenderOfADatagramIsStillKnown) {
  BpfSourceOptions options;
  options.disabled_hooks = {"sock_send_length", "sock_recv_length"};
  Live live(options);
  ASSERT_TRUE(live.ok());
  EXPECT_EQ(live.source().fidelity().owner_mode, "creator");
  const UniqueFd peer = Bound(AF_INET, SOCK_DGRAM);
  const Address to = Local(peer.get());
  UniqueFd fd = Bound(AF_INET, SOCK_DGRAM);
  const auto cookie = Cookie(fd.get());
  ASSERT_EQ(sendto(fd.get(), "abc", 3, 0, to.get(), to.length), 3);
  Child child([&] { return sendto(fd.get(), "abcde", 5, 0, to.get(), to.length) == 5 ? 0 : 1; });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  ASSERT_EQ(child.Wait(), 0);
  EXPECT_EQ(live.Await(cookie, CULPRIT_FLOW_OWNER).tx_payload_bytes, 3U) << live.Text(cookie);
  fd.Reset();
  const auto end = live.Await(cookie, CULPRIT_FLOW_END);
  EXPECT_EQ(end.owner.tgid, pid);
  EXPECT_TRUE(end.flags & CULPRIT_FLOW_OWNER_BY_CREATOR);
}

// As on kernels that refuse iterators over tables.
TEST(Degraded, WithoutIteratorsOverTablesWhatTheyHoldIsStillTold) {
  BpfSourceOptions options;
  options.disabled_hooks = {"iter/bpf_sk_storage_map", "iter/peers", "iter/forwards",
                            "iter/processes"};
  Live live(options);
  ASSERT_TRUE(live.ok());
  const std::set<std::string> stand_ins = {"iter/open_sockets", "walk/peers", "walk/forwards",
                                           "walk/processes"};
  std::set<std::string> active;
  for (const auto& hook : live.source().fidelity().hooks) {
    if (hook.active) active.insert(hook.name);
  }
  for (const std::string& off : options.disabled_hooks) EXPECT_FALSE(active.contains(off)) << off;
  for (const std::string& on : stand_ins) EXPECT_TRUE(active.contains(on)) << on;
  const UniqueFd peer = Bound(AF_INET, SOCK_DGRAM);
  const Address to = Local(peer.get());
  UniqueFd fd = Bound(AF_INET, SOCK_DGRAM);
  const auto cookie = Cookie(fd.get());
  for (int n = 0; n < 3; ++n) ASSERT_EQ(sendto(fd.get(), "abc", 3, 0, to.get(), to.length), 3);
  EXPECT_EQ(live.Await(cookie, CULPRIT_FLOW_SNAPSHOT).tx_payload_bytes, 9U) << live.Text(cookie);
  const auto self = static_cast<std::uint32_t>(getpid());
  EXPECT_TRUE(live.Until([&] { return live.Counters(self).has_value(); }));
  fd.Reset();
  EXPECT_EQ(live.Await(cookie, CULPRIT_FLOW_END).tx_payload_bytes, 9U);
}

TEST(Host, MissingTypeInformationIsNamedWithItsRemedy) {
  BpfSourceOptions options;
  options.btf_path = "/nonexistent/btf";
  const auto source = OpenBpfSource(options);
  ASSERT_FALSE(source);
  EXPECT_NE(source.error().message.find("CONFIG_DEBUG_INFO_BTF"), std::string::npos);
}

TEST(Host, CgroupMountsAreToldApart) {
  const auto found = FindCgroup2("41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, "/sys/fs/cgroup/unified");
  const auto only_v1 = FindCgroup2("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  ASSERT_FALSE(only_v1);
  EXPECT_NE(only_v1.error().message.find("only cgroup v1"), std::string::npos);
  const auto none = FindCgroup2("");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("no cgroup"), std::string::npos);
}

TEST(Host, WithoutPrivilegesItSaysWhichAreMissing) {
  Child child([] {
    if (setgid(65534) != 0 || setuid(65534) != 0) return 1;
    const auto source = OpenBpfSource({});
    return !source && source.error().message.find("CAP_BPF") != std::string::npos ? 0 : 2;
  });
  EXPECT_EQ(child.Wait(), 0);
}

// Where others start processes all the time the timer never rests, and there is nothing to see.
TEST(WakeTest, ARecordWakesAReaderWhoseTimerRests) {
  Live live;
  ASSERT_TRUE(live.ok());
  const auto ignore = [](std::string_view) {};
  pollfd waiting{live.source().poll_fd(), POLLIN, 0};
  bool rests = false;
  for (int n = 0; n < 300 && !rests; ++n) {
    rests = poll(&waiting, 1, 120) == 0;  // longer than a tick
    if (!rests) {
      ASSERT_TRUE(live.source().Poll(std::chrono::milliseconds(0), ignore));
    }
  }
  Child child([] { return 0; });
  if (rests) {
    EXPECT_EQ(poll(&waiting, 1, 20'000), 1) << "nobody was woken";
  }
  EXPECT_TRUE(live.Until([&] { return !live.forks.empty(); }));
  child.Wait();
}

}  // namespace
}  // namespace culprit::testing
