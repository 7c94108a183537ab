// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/watched_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/memory_tree.h"

namespace culprit {
namespace {

using K = PostureChangeKind;

class WatchedTreeTest : public ::testing::Test {
 protected:
  // What a look that reads `reads` and stats `stats` remembers.
  WatchedPaths Look(const std::vector<std::string>& reads,
                    const std::vector<std::string>& stats = {}) {
    WatchedTree tree(disk_);
    for (const std::string& path : reads) (void)tree.Read(path, 1 << 20).has_value();
    for (const std::string& path : stats) (void)tree.Stat(path).has_value();
    return tree.Take();
  }
  static std::vector<PostureChangeFacts> Compare(const WatchedPaths& before,
                                                 const WatchedPaths& after) {
    std::size_t more = 0;
    auto changes = CompareWatched(before, after, 100, &more);
    EXPECT_EQ(more, 0U);
    return changes;
  }

  MemoryTree disk_;
};

TEST_F(WatchedTreeTest, AFileThatAppearsIsCreatedWithItsLines) {
  disk_.MakeFolder("/root/.ssh");
  const auto before = Look({"/root/.ssh/authorized_keys"});
  disk_.Write("/root/.ssh/authorized_keys", "one\n");
  const auto changes = Compare(before, Look({"/root/.ssh/authorized_keys"}));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, K::kCreated);
  EXPECT_FALSE(changes[0].before);
  EXPECT_EQ(changes[0].after->sha256, Sha256Of("one\n"));
  EXPECT_EQ(changes[0].diff, "+one\n");
}

TEST_F(WatchedTreeTest, AChangeHasBothHashesAndOnlyTheLinesThatDiffer) {
  disk_.Write("/etc/ssh/sshd_config", "a\nb\nc\n");
  const auto before = Look({"/etc/ssh/sshd_config"});
  disk_.Write("/etc/ssh/sshd_config", "a\nx\nc\n");
  const auto changes = Compare(before, Look({"/etc/ssh/sshd_config"}));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, K::kChanged);
  EXPECT_EQ(changes[0].before->sha256, Sha256Of("a\nb\nc\n"));
  EXPECT_EQ(changes[0].diff, "-b\n+x\n");
}

TEST_F(WatchedTreeTest, ALockIsAChangeOfAttributesWithoutADiff) {
  disk_.Write("/k", "one\n");
  const auto before = Look({"/k"});
  disk_.InfoOf("/k").immutable = true;
  const auto changes = Compare(before, Look({"/k"}));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, K::kAttributes);
  EXPECT_TRUE(changes[0].after->immutable);
  EXPECT_EQ(changes[0].diff, "");
}

TEST_F(WatchedTreeTest, AFileThatWasOnlyTouchedIsNoChange) {
  disk_.Write("/k", "one\n");
  const auto before = Look({"/k"});
  disk_.InfoOf("/k").mtime_ns += 5'000'000'000;
  EXPECT_TRUE(Compare(before, Look({"/k"})).empty());
}

TEST_F(WatchedTreeTest, AFolderChangesByItsModeAndNotByItsTime) {
  disk_.MakeFolder("/root", 0700);
  const auto before = Look({}, {"/root"});
  disk_.InfoOf("/root").mtime_ns += 5'000'000'000;
  EXPECT_TRUE(Compare(before, Look({}, {"/root"})).empty());
  disk_.InfoOf("/root").mode = 0777;
  EXPECT_EQ(Compare(before, Look({}, {"/root"})).size(), 1U);
}

TEST_F(WatchedTreeTest, AFileThatIsNotAskedForAnyMoreAndGoneIsRemoved) {
  disk_.Write("/etc/ssh/sshd_config.d/9.conf", "UsePAM no\n");
  const auto before = Look({"/etc/ssh/sshd_config.d/9.conf"});
  const auto changes = Compare(before, {});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, K::kRemoved);
  EXPECT_EQ(changes[0].diff, "-UsePAM no\n");
}

TEST_F(WatchedTreeTest, WhatMayHoldASecretIsKnownByItsHashAlone) {
  disk_.Write("/etc/shadow", "root:$y$hash:1::::::\n");
  disk_.Write("/root/.ssh/id", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n");
  const auto paths = Look({"/etc/shadow", "/root/.ssh/id"});
  for (const auto& [path, known] : paths) {
    EXPECT_FALSE(known.text) << path;
    EXPECT_TRUE(known.sha256) << path;
  }
  for (const PostureChangeFacts& change : Compare({}, paths)) EXPECT_EQ(change.diff, "");
}

TEST_F(WatchedTreeTest, TheLongestReadOfAFileCounts) {
  disk_.Write("/k", "abc");
  WatchedTree tree(disk_);
  (void)tree.Read("/k", 100).has_value();
  (void)tree.Read("/k", 1).has_value();
  EXPECT_EQ(tree.Take().at("/k").sha256, Sha256Of("abc"));
}

TEST_F(WatchedTreeTest, HostsThatAClientKnowsAreNotWatched) {
  disk_.Write("/root/.ssh/known_hosts", "x\n");
  EXPECT_TRUE(Look({"/root/.ssh/known_hosts"}).empty());
}

TEST_F(WatchedTreeTest, ChangesOverTheLimitAreCounted) {
  for (int i = 0; i < 5; ++i) disk_.Write("/k" + std::to_string(i), "x");
  std::size_t more = 0;
  EXPECT_EQ(CompareWatched({}, Look({"/k0", "/k1", "/k2", "/k3", "/k4"}), 3, &more).size(), 3U);
  EXPECT_EQ(more, 2U);
}

TEST(DiffLinesTest, ALineThatStandsTwiceIsAddedOnce) {
  bool cut = false;
  EXPECT_EQ(DiffLines("a\n", "a\na\n", &cut), "+a\n");
  EXPECT_FALSE(cut);
}

TEST(DiffLinesTest, AnotherOrderIsSaid) {
  bool cut = false;
  EXPECT_EQ(DiffLines("a\nb\n", "b\na\n", &cut), "~the same lines in another order\n");
}

TEST(DiffLinesTest, ALongDiffIsCutAndSaysSo) {
  bool cut = false;
  const std::string diff = DiffLines("", std::string(10'000, 'x') + "\nmore\n", &cut);
  EXPECT_TRUE(cut);
  EXPECT_LE(diff.size(), 4'096U);
  EXPECT_TRUE(diff.ends_with('\n'));
}

}  // namespace
}  // namespace culprit
