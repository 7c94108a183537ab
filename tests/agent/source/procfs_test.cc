// SPDX-License-Identifier: Apache-2.0
#include "agent/source/procfs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/source/mounts.h"
#include "agent/source/passwd_names.h"

namespace culprit {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ProcfsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "culprit-procfs.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& name, std::string_view text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + "/" + name).parent_path());
    std::ofstream(root_ + "/" + name, std::ios::binary) << text;
  }
  std::string root_;
};

TEST_F(ProcfsTest, ReadsTheTextOfAProcess) {
  Write("100/stat", "100 (a) b) R 1 100 100 0 -1 4194304 1 0 0 0 5 7 0 0 20 0 1 0 123 4096 10 99");
  Write("100/cmdline", std::string_view("prog\0-x\0\0", 9));
  Write("100/cgroup", "0::/system.slice/docker-" + std::string(64, 'e') + ".scope\n");
  std::filesystem::create_symlink("/usr/bin/prog", root_ + "/100/exe");
  std::filesystem::create_symlink("/srv", root_ + "/100/cwd");
  Write("self/ignored", "");
  const Procfs procfs(root_);
  EXPECT_THAT(procfs.List(10), ElementsAre(Tgid(100)));
  const auto event = procfs.Read(Tgid(100), BootTimeFromNs(9));
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->exe, "/usr/bin/prog");
  EXPECT_EQ(event->cwd, "/srv");
  EXPECT_THAT(event->argv, ElementsAre("prog", "-x", ""));
  EXPECT_EQ(event->container_id, std::string(64, 'e'));
  EXPECT_EQ(event->start,
            BootTimeFromNs(123ULL * 1'000'000'000 / static_cast<unsigned>(sysconf(_SC_CLK_TCK))));
}

TEST_F(ProcfsTest, KernelThreadsAndLostRacesGiveNothing) {
  Write("2/stat", "2 (kthreadd) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 3 0 0 0");
  Write("2/cmdline", "");
  const Procfs procfs(root_);
  EXPECT_FALSE(procfs.Read(Tgid(2), BootTimeFromNs(1)).has_value());
  EXPECT_FALSE(procfs.Read(Tgid(3), BootTimeFromNs(1)).has_value());
  EXPECT_THAT(Procfs(root_ + "/none").List(10), IsEmpty());
}

TEST_F(ProcfsTest, ListIsBounded) {
  for (int i = 1; i <= 20; ++i) Write(std::to_string(i) + "/stat", "");
  EXPECT_EQ(Procfs(root_).List(7).size(), 7U);
}

TEST_F(ProcfsTest, CostsOfAProcess) {
  Write("9/stat", "9 (x) S 1 9 9 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 3 4096 25 9");
  Write("9/smaps_rollup",
        "0-1 ---p 0 0 0 [rollup]\nRss:      100 kB\nPss:       77 kB\nPss_Anon: 1 kB\n");
  const auto usage = Procfs(root_).Usage(Tgid(9), true);
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(usage->cpu_us, 200ULL * 1'000'000 / static_cast<unsigned>(sysconf(_SC_CLK_TCK)));
  EXPECT_EQ(usage->rss_bytes, 25ULL * static_cast<unsigned>(sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(usage->pss_bytes, 77ULL * 1024);
}

TEST(StartTicks, PastAnyCommandName) {
  EXPECT_EQ(StartTicksFromStat("1 () 5 ) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0"), 777U);
  EXPECT_FALSE(StartTicksFromStat("").has_value());
  EXPECT_FALSE(StartTicksFromStat("1 (x) S 1 2").has_value());
  EXPECT_FALSE(
      StartTicksFromStat("1 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 -5 0").has_value());
}

TEST(ContainerId, SixtyFourHexDigitsAndNoOthers) {
  const std::string id(64, '1');
  EXPECT_EQ(ContainerIdFromProcCgroup("0::/kubepods/burstable/pod1/" + id), id);
  EXPECT_EQ(ContainerIdFromProcCgroup("0::/x/" + id + "2"), "");
  EXPECT_EQ(ContainerIdFromProcCgroup("0::/user.slice"), "");
}

TEST(Mountinfo, ParsesEscapesAndOptionalFields) {
  const auto mounts = ParseMountinfo(
      "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n"
      "garbage\n"
      "28 27 0:25 / /mnt/a\\040b rw - tmpfs none rw\n"
      "29 27 0:99 / /x rw");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].dev_major, 254U);
  EXPECT_EQ(mounts[0].fs_type, "ext4");
  EXPECT_EQ(mounts[1].mount_point, "/mnt/a b");
  EXPECT_EQ(mounts[1].dev_minor, 25U);
  EXPECT_TRUE(HoldsPrograms("overlay"));
  EXPECT_FALSE(HoldsPrograms("proc"));
  EXPECT_FALSE(HoldsPrograms("fuse.sshfs"));  // its server may never answer
}

TEST(Passwd, FirstLineOfAUserWinsAndBadLinesArePassedOver) {
  const auto names = ParsePasswd(
      "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/\n\n:x:5:5::/:/"
      "\nbad\na:b\nx:y:-1:0:\nlast:x:1000:1");
  EXPECT_EQ(names.size(), 2U);
  EXPECT_EQ(names.at(0), "root");
  EXPECT_EQ(names.at(1000), "last");
}

TEST_F(ProcfsTest, UserNamesFollowTheFileAndKeepTheLastWhileItIsGone) {
  Write("passwd", "root:x:0:0::/root:/bin/sh\n");
  PasswdNames names(root_ + "/passwd", seconds(5));
  EXPECT_EQ(names.Name(Uid(0), BootTimeFromNs(0)), "root");
  EXPECT_EQ(names.Name(Uid(7), BootTimeFromNs(0)), "");
  Write("passwd", "root:x:0:0::/root:/bin/sh\neve:x:7:7:::\n");
  EXPECT_EQ(names.Name(Uid(7), BootTimeFromNs(0) + seconds(4)), "");
  EXPECT_EQ(names.Name(Uid(7), BootTimeFromNs(0) + seconds(6)), "eve");
  std::filesystem::remove(root_ + "/passwd");
  EXPECT_EQ(names.Name(Uid(7), BootTimeFromNs(0) + seconds(60)), "eve");
}

}  // namespace
}  // namespace culprit
