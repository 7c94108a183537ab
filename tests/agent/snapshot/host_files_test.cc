// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/host_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

class HostFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeDirectories(dir_ / "etc/d", 0755));
    ASSERT_TRUE(WriteFileAtomically(dir_ / "etc/file", "content"));
    ASSERT_EQ(mkfifo((dir_ / "etc/fifo").c_str(), 0600), 0);
    ASSERT_EQ(symlink("file", (dir_ / "etc/link").c_str()), 0);
    ASSERT_EQ(symlink("d", (dir_ / "etc/linkdir").c_str()), 0);
    ASSERT_TRUE(WriteFileAtomically(dir_ / "etc/d/inner", "inner"));
    auto host = HostFiles::Open(dir_.path());
    ASSERT_TRUE(host);
    host_ = std::make_unique<HostFiles>(std::move(*host));
  }

  TempDir dir_;
  std::unique_ptr<HostFiles> host_;
};

TEST_F(HostFilesTest, OnlyRegularFilesAreOpenedAndLinksAreNotFollowed) {
  FileEntry entry;
  EXPECT_TRUE(host_->OpenRegular("/etc/file", &entry));
  for (const char* path : {"/etc/fifo", "/etc/link", "/etc/d", "/etc/linkdir/inner"}) {
    const auto fd = host_->OpenRegular(path, &entry);
    ASSERT_FALSE(fd) << path;
    EXPECT_EQ(fd.error().code, Code::kFailedPrecondition) << path << " " << fd.error().message;
  }
  EXPECT_FALSE(host_->Read("/etc/link", 100));
  EXPECT_FALSE(host_->OpenRegular("/etc/none", &entry));
}

TEST_F(HostFilesTest, ALinkIsToldWithItsTarget) {
  const auto entry = host_->Look("/etc/link");
  ASSERT_TRUE(entry);
  EXPECT_TRUE(S_ISLNK(entry->mode));
  EXPECT_EQ(entry->link, "file");
}

TEST_F(HostFilesTest, NothingLeadsOutOfTheRoot) {
  ASSERT_EQ(symlink("/../../../../../../etc", (dir_ / "out").c_str()), 0);
  EXPECT_EQ(host_->Read("/../../../../etc/file", 100).value_or("none"), "content");
  EXPECT_FALSE(host_->Read("/out/passwd", 100));
}

TEST_F(HostFilesTest, ReadingLeavesNoAccessTime) {
  const timespec times[2] = {{1'000'000'000, 0}, {1'700'000'000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (dir_ / "etc/file").c_str(), times, 0), 0);
  FileEntry entry;
  const auto fd = host_->OpenRegular("/etc/file", &entry);
  ASSERT_TRUE(fd);
  EXPECT_EQ(ReadBounded(fd->get(), 100).value_or(""), "content");
  struct stat st {};
  ASSERT_EQ(stat((dir_ / "etc/file").c_str(), &st), 0);
  EXPECT_EQ(st.st_atim.tv_sec, 1'000'000'000);
}

TEST_F(HostFilesTest, ListsAndReadsAreBounded) {
  bool cut = false;
  EXPECT_EQ(host_->List("/etc", 2, &cut)->size(), 2U);
  EXPECT_TRUE(cut);
  EXPECT_EQ(host_->List("/etc", 100, &cut)->size(), 5U);
  EXPECT_FALSE(cut);
  EXPECT_EQ(host_->Read("/etc/file", 3).value_or(""), "con");
}

}  // namespace
}  // namespace culprit
