// SPDX-License-Identifier: Apache-2.0
// A root of its own with files and dpkg's lists in it.
#include "agent/source/package_book.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "agent/source/dpkg_text.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

constexpr const char* kDigest = "0123456789abcdef0123456789abcdef";

class PackageBookTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder : {"/usr/bin", "/usr/sbin", "/opt/x", "/snap/y", "/var/lib/dpkg/info"})
      std::filesystem::create_directories(root_.path() + folder);
    std::filesystem::create_symlink("usr/bin", root_.path() + "/bin");
    Write("/var/lib/dpkg/lock", "");
  }
  void Write(const std::string& path, const std::string& text) const {
    std::ofstream(root_.path() + path) << text;
  }
  // As dpkg does: under another name, then renamed.
  void WriteInfo(const std::string& name, const std::string& text) const {
    Write("/var/lib/dpkg/info/new", text);
    std::filesystem::rename(root_.path() + "/var/lib/dpkg/info/new",
                            root_.path() + "/var/lib/dpkg/info/" + name);
  }
  PackageClaim Claim(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(stat((root_.path() + path).c_str(), &st), 0) << path;
    return book_.Claim(path, st);
  }
  PackageState StateOf(const std::string& path) { return Claim(path).facts.state; }

  const TempDir root_;
  PackageBook book_{root_.path()};
};

TEST_F(PackageBookTest, AFileIsFoundUnderTheNameThatItsPackageHasForIt) {
  Write("/usr/bin/ls", "x");
  Write("/usr/bin/env", "x");
  Write("/usr/bin/own", "x");
  WriteInfo("coreutils.list", "/.\n/bin\n/bin/ls\n/usr/bin/env\n");
  WriteInfo("coreutils.md5sums", std::string(kDigest) + "  bin/ls\n");
  const PackageClaim ls = Claim("/usr/bin/ls");
  EXPECT_EQ(ls.facts, (PackageFacts{PackageState::kListed, "coreutils"}));
  EXPECT_EQ(ls.md5, kDigest);
  EXPECT_EQ(Claim("/usr/bin/env").facts.name, "coreutils");
  EXPECT_EQ(Claim("/usr/bin/env").md5, "");
  EXPECT_EQ(StateOf("/usr/bin/own"), PackageState::kNone);
}

TEST_F(PackageBookTest, AnInstallationARemovalAndAnUpgradeAreSeen) {
  Write("/usr/bin/a", "x");
  Write("/usr/bin/b", "x");
  WriteInfo("one:amd64.list", "/usr/bin/a\n");
  EXPECT_EQ(Claim("/usr/bin/a").facts.name, "one");
  EXPECT_EQ(StateOf("/usr/bin/b"), PackageState::kNone);
  WriteInfo("two.list", "/usr/bin/b\n");
  EXPECT_EQ(Claim("/usr/bin/b").facts.name, "two");
  EXPECT_EQ(Claim("/usr/bin/a").facts.name, "one");
  std::filesystem::remove(root_.path() + "/var/lib/dpkg/info/one:amd64.list");
  EXPECT_EQ(StateOf("/usr/bin/a"), PackageState::kNone);
  WriteInfo("two.list", "/usr/bin/a\n/usr/bin/c\n");
  EXPECT_EQ(Claim("/usr/bin/a").facts.name, "two");
  EXPECT_EQ(StateOf("/usr/bin/b"), PackageState::kNone);
}

TEST_F(PackageBookTest, WhatCannotBeKnownIsNotCalledForeign) {
  Write("/usr/bin/a", "x");
  EXPECT_EQ(StateOf("/usr/bin/a"), PackageState::kUnknown) << "there are no lists";
  WriteInfo("one.list", "/usr/bin/other\n");
  EXPECT_EQ(StateOf("/usr/bin/a"), PackageState::kNone);
  Write("/snap/y/tool", "x");
  EXPECT_EQ(StateOf("/snap/y/tool"), PackageState::kUnknown);
  struct stat st {};
  ASSERT_EQ(stat("/proc/self/exe", &st), 0);
  EXPECT_EQ(book_.Claim("/usr/bin/a", st).facts.state, PackageState::kUnknown)
      << "a file of a container under the same name";
  EXPECT_EQ(book_.Claim("/usr/bin/gone", st).facts.state, PackageState::kUnknown);
  EXPECT_EQ(book_.Claim("memfd:x", st).facts.state, PackageState::kUnknown);
}

TEST_F(PackageBookTest, WhileDpkgUnpacksNothingIsForeign) {
  Write("/usr/bin/a", "x");
  WriteInfo("one.list", "/usr/bin/other\n");
  ASSERT_EQ(StateOf("/usr/bin/a"), PackageState::kNone);
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  const pid_t dpkg = fork();
  if (dpkg == 0) {
    const int fd = open((root_.path() + "/var/lib/dpkg/lock").c_str(), O_RDWR);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    char byte = fcntl(fd, F_SETLK, &lock) == 0 ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  EXPECT_EQ(StateOf("/usr/bin/a"), PackageState::kUnknown);
  ASSERT_EQ(write(go[1], "x", 1), 1);
  waitpid(dpkg, nullptr, 0);
  EXPECT_EQ(StateOf("/usr/bin/a"), PackageState::kNone);
}

TEST_F(PackageBookTest, ADiversionMovesAFileOfItsPackage) {
  Write("/usr/bin/tool", "the diverter's");
  Write("/usr/bin/tool.distrib", "the package's");
  WriteInfo("tool.list", "/usr/bin/tool\n");
  WriteInfo("tool.md5sums", std::string(kDigest) + "  usr/bin/tool\n");
  Write("/var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.distrib\n:\n");
  WriteInfo("x.list", "/nothing\n");
  const PackageClaim moved = Claim("/usr/bin/tool.distrib");
  EXPECT_EQ(moved.facts, (PackageFacts{PackageState::kListed, "tool"}));
  EXPECT_EQ(moved.md5, kDigest);
  EXPECT_EQ(StateOf("/usr/bin/tool"), PackageState::kNone) << "the operator's own";
  Write("/var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.distrib\nother\n");
  WriteInfo("other.list", "/usr/bin/tool\n");
  EXPECT_EQ(Claim("/usr/bin/tool").facts.name, "other");
}

TEST(DpkgTextTest, APlainPathIsTheSameForBothNamesOnlyWhereTheyAreOneFile) {
  EXPECT_EQ(PlainPath("/usr/bin/ls", true), "/bin/ls");
  EXPECT_EQ(PlainPath("/usr/lib64/x", true), "/lib64/x");
  EXPECT_EQ(PlainPath("/usr/share/x", true), "/usr/share/x");
  EXPECT_EQ(PlainPath("/usr/bin/ls", false), "/usr/bin/ls");
  EXPECT_EQ(PlainPath("/usr/local/bin/ls", true), "/usr/local/bin/ls");
}

TEST(DpkgTextTest, OnlyWholeLinesOfDigestsCount) {
  const std::string sums = std::string(kDigest) + "  usr/bin/a\nshort  usr/bin/b\n" +
                           std::string(32, 'Z') + "  usr/bin/c\n" + kDigest + "  opt/d";
  EXPECT_EQ(DigestOf(sums, "/usr/bin/a", true), kDigest);
  EXPECT_EQ(DigestOf(sums, "/bin/a", true), kDigest);
  EXPECT_EQ(DigestOf(sums, "/bin/a", false), "");
  EXPECT_EQ(DigestOf(sums, "/usr/bin/b", true), "");
  EXPECT_EQ(DigestOf(sums, "/usr/bin/c", true), "");
  EXPECT_EQ(DigestOf(sums, "/opt/d", true), kDigest);
}

}  // namespace
}  // namespace culprit
