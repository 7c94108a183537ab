// SPDX-License-Identifier: Apache-2.0
#include "agent/source/log_follower.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace culprit {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

class LogFollowerTest : public ::testing::Test {
 protected:
  LogFollowerTest() {
    std::string pattern = ::testing::TempDir() + "/culprit-log-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/auth.log";
  }
  ~LogFollowerTest() override { fs::remove_all(directory_); }

  void Append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  Lines ReadAll(LogFollower& follower, std::size_t at_once = 1U << 20) {
    Lines out;
    while (follower.Read(at_once, [&](std::string_view line) { out.emplace_back(line); })) {
    }
    return out;
  }

  std::string directory_, path_;
};

TEST_F(LogFollowerTest, PassesOverWhatWasThereBeforeTheFirstRun) {
  Append("old\n");
  LogFollower follower(path_, {});
  Append("new\n");
  EXPECT_EQ(ReadAll(follower), Lines{"new"});
}

TEST_F(LogFollowerTest, ReadsALogThatComesLaterFromItsBegin) {
  LogFollower follower(path_, {});
  EXPECT_FALSE(follower.open());
  Append("first\nsecond\n");
  EXPECT_EQ(ReadAll(follower), (Lines{"first", "second"}));
}

TEST_F(LogFollowerTest, GivesOutWholeLinesOnly) {
  Append("");
  LogFollower follower(path_, {});
  Append("half");
  EXPECT_EQ(ReadAll(follower), Lines{});
  Append(" a line\nand");
  EXPECT_EQ(ReadAll(follower), Lines{"half a line"});
}

TEST_F(LogFollowerTest, GoesOnWhereTheRunBeforeStopped) {
  Append("");
  LogPosition at;
  {
    LogFollower follower(path_, {});
    Append("one\ntwo\nhal");
    EXPECT_EQ(ReadAll(follower).size(), 2U);
    at = follower.position();
  }
  Append("f\nthree\n");
  LogFollower follower(path_, at);
  EXPECT_EQ(ReadAll(follower), (Lines{"half", "three"}));
}

TEST_F(LogFollowerTest, ReadsTheOldFileToItsEndAndThenTheNewOne) {
  Append("");
  LogFollower follower(path_, {});
  Append("one\n");
  fs::rename(path_, path_ + ".1");
  std::ofstream(path_ + ".1", std::ios::app) << "late\n";  // whoever writes has not opened it anew
  EXPECT_EQ(ReadAll(follower), (Lines{"one", "late"}));
  Append("");
  std::ofstream(path_ + ".1", std::ios::app) << "later\n";
  EXPECT_EQ(ReadAll(follower), Lines{"later"});
  Append("new\n");
  EXPECT_EQ(ReadAll(follower), Lines{"new"});
}

TEST_F(LogFollowerTest, FindsAFileThatWasRotatedWhileNobodyFollowed) {
  Append("");
  LogPosition at;
  {
    LogFollower follower(path_, {});
    Append("one\n");
    ReadAll(follower);
    at = follower.position();
  }
  Append("two\n");
  fs::rename(path_, path_ + ".1");
  Append("three\n");
  LogFollower follower(path_, at);
  EXPECT_EQ(ReadAll(follower), (Lines{"two", "three"}));
}

TEST_F(LogFollowerTest, ReadsANewFileWholeWhereTheKnownOneIsGone) {
  Append("one\n");
  LogFollower first(path_, {});
  const LogPosition at = first.position();
  fs::rename(path_, path_ + ".2.gz");
  Append("new\n");
  LogFollower follower(path_, at);
  EXPECT_EQ(ReadAll(follower), Lines{"new"});
}

TEST_F(LogFollowerTest, BeginsAnewWhereTheFileWasEmptied) {
  Append("");
  LogFollower follower(path_, {});
  Append("a long line\nand a part");
  EXPECT_EQ(ReadAll(follower), Lines{"a long line"});
  fs::resize_file(path_, 0);
  Append("b\n");
  EXPECT_EQ(ReadAll(follower), Lines{"b"});
}

TEST_F(LogFollowerTest, CutsALineOfA100MegabytesAndReadsOn) {
  Append("");
  LogFollower follower(path_, {});
  {
    std::ofstream out(path_, std::ios::app);
    const std::string block(1U << 20, 'x');
    for (int i = 0; i < 100; ++i) out << block;
    out << "\nnext\n";
  }
  Lines lines;
  std::size_t reads = 0;
  while (follower.Read(1U << 20, [&](std::string_view line) { lines.emplace_back(line); })) {
    ++reads;
    EXPECT_TRUE(lines.empty() || reads > 90);
    if (lines.empty()) {
      EXPECT_EQ(follower.position().offset, 0U);
    }
  }
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], std::string(8'192, 'x'));
  EXPECT_EQ(lines[1], "next");
}

TEST_F(LogFollowerTest, KeepsNulBytesInTheirLine) {
  Append("");
  LogFollower follower(path_, {});
  const std::string line("a\0b", 3);
  Append(line + "\n" + std::string(5, '\0') + "\n");
  EXPECT_EQ(ReadAll(follower), (Lines{line, std::string(5, '\0')}));
}

TEST_F(LogFollowerTest, ReadsNoFifoAndNoDirectory) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  LogFollower fifo(path_, {});
  EXPECT_EQ(ReadAll(fifo), Lines{});
  EXPECT_FALSE(fifo.open());
  LogFollower directory(directory_, {});
  EXPECT_EQ(ReadAll(directory), Lines{});
  EXPECT_FALSE(directory.open());
}

TEST_F(LogFollowerTest, ReadsAtMostWhatItIsAskedFor) {
  Append("");
  LogFollower follower(path_, {});
  for (int i = 0; i < 10'000; ++i) Append("0123456789\n");
  std::size_t lines = 0;
  EXPECT_TRUE(follower.Read(32'768, [&](std::string_view) { ++lines; }));
  EXPECT_LT(lines, 6'000U);
  EXPECT_EQ(lines + ReadAll(follower).size(), 10'000U);
}

}  // namespace
}  // namespace culprit
