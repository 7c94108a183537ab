// SPDX-License-Identifier: Apache-2.0
#include "common/file.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

TEST(FileTest, AtomicWriteReplacesAndLeavesNothingElse) {
  const TempDir dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "state", "one").has_value());
  ASSERT_TRUE(WriteFileAtomically(dir / "state", "two").has_value());
  EXPECT_EQ(*ReadWholeFile(dir / "state", 100), "two");
  EXPECT_EQ(*ListDirectory(dir.path()), std::vector<std::string>{"state"});
}

TEST(FileTest, BoundedReadRefusesWhatIsLonger) {
  const TempDir dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "f", std::string(100'000, 'x')).has_value());
  EXPECT_EQ(ReadWholeFile(dir / "f", 100'000)->size(), 100'000U);
  EXPECT_EQ(ReadWholeFile(dir / "f", 99'999).error().code, Code::kOutOfRange);
  EXPECT_EQ(ReadWholeFile(dir / "none", 1).error().code, Code::kNotFound);
}

TEST(FileTest, AnOpenFileIsReadWhateverItsPathBecomes) {
  const TempDir dir;
  const std::string path = dir / "f";
  ASSERT_TRUE(WriteFileAtomically(path, "one").has_value());
  const auto fd = OpenReadOnly(path);
  ASSERT_TRUE(fd.has_value());
  ASSERT_TRUE(WriteFileAtomically(path, "two").has_value());
  EXPECT_EQ(*ReadWholeFile(fd->get(), path, 3), "one");
}

TEST(FileTest, ReadsAsFarAsToldAndGoesOnFromThere) {
  const TempDir dir;
  const std::string content = std::string(70'000, 'a') + std::string(30'000, 'b');
  ASSERT_TRUE(WriteFileAtomically(dir / "f", content).has_value());
  const auto fd = OpenReadOnly(dir / "f");
  ASSERT_TRUE(fd.has_value());
  EXPECT_EQ(*ReadUpTo(fd->get(), 70'000, "read"), content.substr(0, 70'000));
  EXPECT_EQ(*ReadUpTo(fd->get(), 70'000, "read"), content.substr(70'000));
  EXPECT_EQ(*ReadUpTo(fd->get(), 70'000, "read"), "");
  EXPECT_EQ(ReadUpTo(-1, 1, "read it").error().message, "read it: Bad file descriptor");
}

TEST(FileTest, ADescriptorHasAPathThatOutlivesItsName) {
  const TempDir dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "f", "one").has_value());
  const auto fd = OpenReadOnly(dir / "f");
  ASSERT_TRUE(fd.has_value());
  EXPECT_EQ(*ReadLink(DescriptorPath(fd->get())), dir / "f");
  ASSERT_TRUE(RemoveFile(dir / "f").has_value());
  EXPECT_EQ(*ReadWholeFile(DescriptorPath(fd->get()), 3), "one");
  EXPECT_EQ(ReadLink(dir / "f").error().code, Code::kNotFound);
}

TEST(FileTest, DirectoriesAreMadeWithTheirParentsAndAFileInTheWayIsNamed) {
  const TempDir dir;
  ASSERT_TRUE(MakeDirectories(dir / "a/b/c", 0700).has_value());
  ASSERT_TRUE(MakeDirectories(dir / "a/b/c", 0700).has_value());
  ASSERT_TRUE(WriteFileAtomically(dir / "file", "").has_value());
  EXPECT_FALSE(MakeDirectories(dir / "file/x", 0700).has_value());
  EXPECT_NE(MakeDirectories(dir / "file", 0700).error().message.find("file"), std::string::npos);
}

TEST(FileTest, ALockIsExclusiveUntilItIsClosed) {
  const TempDir dir;
  auto lock = LockFile(dir / "lock");
  ASSERT_TRUE(lock.has_value());
  EXPECT_EQ(LockFile(dir / "lock").error().code, Code::kFailedPrecondition);
  lock->Reset();
  EXPECT_TRUE(LockFile(dir / "lock").has_value());
}

}  // namespace
}  // namespace culprit
