// SPDX-License-Identifier: Apache-2.0
// Other programs on the same control group (systemd, container networks, other agents). Needs root
// (label bpf).
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "agent/source/bpf_loader.h"
#include "tests/bpf/live.h"

namespace culprit::testing {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// A control group of its own with this process in it, and a foreign program on its egress hook.
class NeighbourTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto root = FindCgroup2(ReadAll("/proc/self/mountinfo"));
    ASSERT_TRUE(root) << root.error().message;
    const std::string own = ReadAll("/proc/self/cgroup");
    const std::size_t at = own.find("0::");
    ASSERT_NE(at, std::string::npos);
    before_ = *root + own.substr(at + 3, own.find('\n', at) - at - 3);
    path_ = *root + "/culprit-neighbour-" + std::to_string(getpid());
    ASSERT_EQ(mkdir(path_.c_str(), 0755), 0);
    group_.Reset(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(group_);
    Enter(path_);
  }
  void TearDown() override {
    Enter(before_);
    group_.Reset();
    EXPECT_EQ(rmdir(path_.c_str()), 0);
  }
  void Attach(unsigned flags) {
    const bpf_insn allow[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1},
                              {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    program_.Reset(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "neighbour", "GPL", allow, 2, nullptr));
    ASSERT_TRUE(program_);
    ASSERT_EQ(bpf_prog_attach(program_.get(), group_.get(), BPF_CGROUP_INET_EGRESS, flags), 0);
  }
  static void Enter(const std::string& group) {
    std::ofstream(group + "/cgroup.procs") << getpid() << std::flush;
  }
  BpfSourceOptions Options() const {
    BpfSourceOptions options;
    options.cgroup_path = path_;
    return options;
  }

  std::string before_, path_;
  UniqueFd group_, program_;
};

TEST_F(NeighbourTest, AProgramThatIsThereAlreadyStaysAndBothSeeTheTraffic) {
  ASSERT_NO_FATAL_FAILURE(Attach(BPF_F_ALLOW_MULTI));
  Live live(Options());
  ASSERT_TRUE(live.ok());
  const UniqueFd listener = Bound(AF_INET, SOCK_STREAM);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  const Address to = Local(listener.get());
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto cookie = Cookie(fd.get());
  ASSERT_EQ(connect(fd.get(), to.get(), to.length), 0);
  EXPECT_GT(live.Await(cookie, CULPRIT_FLOW_SNAPSHOT).tx_packets, 0U);
  __u32 attached[8] = {};
  __u32 count = 8;
  ASSERT_EQ(bpf_prog_query(group_.get(), BPF_CGROUP_INET_EGRESS, 0, nullptr, attached, &count), 0);
  EXPECT_EQ(count, 2U);
  for (const HookStatus& hook : live.source().fidelity().hooks) {
    if (hook.name == "cgroup_skb/egress") {
      EXPECT_THAT(hook.note, ::testing::StartsWith("beside neighbour (id "));
    } else {
      EXPECT_EQ(hook.note.find("beside"), std::string::npos) << hook.name;
    }
  }
}

TEST_F(NeighbourTest, AProgramThatHoldsTheHookAloneIsNamedWithTheWayToFindIt) {
  ASSERT_NO_FATAL_FAILURE(Attach(0));
  auto source = OpenBpfSource(Options());
  ASSERT_TRUE(source) << source.error().message;
  const auto started = (*source)->Start([](std::string_view) {});
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("bpftool cgroup show"), std::string::npos)
      << started.error().message;
}

}  // namespace
}  // namespace culprit::testing
