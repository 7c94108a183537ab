// SPDX-License-Identifier: Apache-2.0
// The power cut must be a true one, or the tests above it prove nothing.
#include "tests/support/faultfs/fault_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/damage.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FaultStoreTest : public ::testing::Test {
 protected:
  FaultHandle Create(const std::string& path) {
    FaultHandle handle;
    EXPECT_EQ(store_.Create(path, 0640, &handle), 0);
    return handle;
  }
  std::vector<std::string> List(const std::string& path) {
    std::vector<std::string> names;
    EXPECT_EQ(store_.List(path, &names), 0);
    return names;
  }
  std::string Content(const std::string& path) {
    FaultHandle handle;
    if (store_.Open(path, false, &handle) != 0) return "<none>";
    std::string content;
    EXPECT_EQ(store_.Read(handle, 0, 1 << 20, &content), 0);
    return content;
  }

  TempDir dir_;
  FaultStore store_{dir_.path()};
};

TEST_F(FaultStoreTest, AFileIsThereOnlyIfItsDataAndItsNameWereSynced) {
  const FaultHandle both = Create("/both");
  const FaultHandle data = Create("/data");
  Create("/name");
  store_.Write(both, 0, "hello");
  store_.Sync(both);
  store_.SyncDirectory("/");
  store_.Write(both, 5, " world");
  const FaultHandle late = Create("/late");
  store_.Write(late, 0, "synced, but without a name");
  store_.Sync(late);
  store_.Write(data, 0, "lost");
  EXPECT_EQ(Content("/both"), "hello world");
  store_.Drop();
  EXPECT_THAT(List("/"), ElementsAre("both", "data", "name"));
  EXPECT_EQ(Content("/both"), "hello");
  EXPECT_EQ(Content("/data"), "");
  EXPECT_EQ(store_.Write(both, 0, "x"), -ESTALE);
}

TEST_F(FaultStoreTest, RenameAndUnlinkComeBackUntilTheDirectoryIsSynced) {
  for (const char* path : {"/a", "/b", "/a.tmp"}) {
    const FaultHandle handle = Create(path);
    store_.Write(handle, 0, path);
    store_.Sync(handle);
  }
  store_.SyncDirectory("/");
  ASSERT_EQ(store_.Rename("/a.tmp", "/a"), 0);
  ASSERT_EQ(store_.Unlink("/b"), 0);
  EXPECT_THAT(List("/"), ElementsAre("a"));
  store_.Drop();
  EXPECT_THAT(List("/"), ElementsAre("a", "a.tmp", "b"));
  EXPECT_EQ(Content("/a"), "/a");
  ASSERT_EQ(store_.Rename("/a.tmp", "/a"), 0);
  ASSERT_EQ(store_.Unlink("/b"), 0);
  store_.SyncDirectory("/");
  store_.Drop();
  EXPECT_THAT(List("/"), ElementsAre("a"));
  EXPECT_EQ(Content("/a"), "/a.tmp");
}

TEST_F(FaultStoreTest, DirectoriesNeedTheirOwnSyncAndTheirParents) {
  store_.MakeDirectory("/d", 0700);
  const FaultHandle file = Create("/d/f");
  store_.Write(file, 0, "x");
  store_.Sync(file);
  store_.SyncDirectory("/d");
  store_.Drop();
  EXPECT_THAT(List("/"), IsEmpty());
  store_.MakeDirectory("/d", 0700);
  const FaultHandle again = Create("/d/f");
  store_.Write(again, 0, "x");
  store_.Sync(again);
  store_.SyncDirectory("/d");
  store_.SyncDirectory("/");
  store_.Drop();
  EXPECT_EQ(Content("/d/f"), "x");
}

TEST_F(FaultStoreTest, OverlappingWritesAndTruncationsReadAsOnADisk) {
  const FaultHandle file = Create("/f");
  store_.SyncDirectory("/");
  std::string expected;
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t offset = random() % 300;
    if (random() % 5 == 0) {
      store_.Truncate("/f", offset);
      expected.resize(offset);
    } else {
      const std::string bytes(random() % 40, static_cast<char>('a' + random() % 26));
      if (bytes.empty()) continue;
      store_.Write(file, offset, bytes);
      if (expected.size() < offset + bytes.size()) expected.resize(offset + bytes.size());
      expected.replace(offset, bytes.size(), bytes);
    }
    if (random() % 7 == 0) store_.Sync(file);
    ASSERT_EQ(Content("/f"), expected) << i;
  }
  store_.Sync(file);
  store_.Drop();
  EXPECT_EQ(Content("/f"), expected);
}

TEST_F(FaultStoreTest, FaultsAreReportedAndChangeNothing) {
  const FaultHandle file = Create("/f");
  store_.SyncDirectory("/");
  store_.set_full(true);
  FaultHandle other;
  EXPECT_EQ(store_.Write(file, 0, "x"), -ENOSPC);
  EXPECT_EQ(store_.Create("/g", 0600, &other), -ENOSPC);
  store_.set_full(false);
  EXPECT_EQ(store_.Write(file, 0, "x"), 0);
  store_.set_fail_sync(true);
  EXPECT_EQ(store_.Sync(file), -EIO);
  store_.Drop();
  EXPECT_EQ(Content("/f"), "");
}

}  // namespace
}  // namespace culprit
