// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/key_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <thread>

#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;

TEST(KeySource, AFileThatOthersMayReadIsNotUsed) {
  const TempDir directory;
  const std::string path = directory / "keys";
  std::ofstream(path) << "[default]\naws_access_key_id = A\naws_secret_access_key = B\n";
  for (const mode_t mode : {0644U, 0640U, 0604U, 0660U}) {
    chmod(path.c_str(), mode);
    const auto keys = ReadKeyFile(path);
    ASSERT_FALSE(keys.has_value());
    EXPECT_THAT(keys.error().message, HasSubstr("chmod 600 " + path));
  }
  chmod(path.c_str(), 0600);
  const auto keys = ReadKeyFile(path);
  ASSERT_TRUE(keys.has_value()) << keys.error().message;
  EXPECT_EQ(keys->access_key_id, "A");
}

TEST(KeySource, WhatIsReadIsTheFileThatWasLookedAt) {
  const TempDir directory;
  const std::string path = directory / "keys", mine = directory / "mine", open = directory / "open",
                    next = directory / "next";
  std::ofstream(mine) << "[default]\naws_access_key_id = A\naws_secret_access_key = S\n";
  std::ofstream(open) << "[default]\naws_access_key_id = B\naws_secret_access_key = S\n";
  chmod(mine.c_str(), 0600);
  chmod(open.c_str(), 0644);
  std::atomic<bool> done = false;
  std::thread swapper([&] {
    for (int round = 0; round < 5'000; ++round) {
      for (const std::string& file : {mine, open}) {
        if (link(file.c_str(), next.c_str()) == 0) rename(next.c_str(), path.c_str());
      }
    }
    done = true;
  });
  int of_the_open_one = 0;
  while (!done) {
    const auto keys = ReadKeyFile(path);
    if (keys && keys->access_key_id != "A") ++of_the_open_one;
  }
  swapper.join();
  EXPECT_EQ(of_the_open_one, 0);
}

TEST(KeySource, WhatIsNoFileOfKeysIsNamed) {
  const TempDir directory;
  for (const std::string& path : {directory / "none", directory / "."}) {
    const auto keys = ReadKeyFile(path);
    ASSERT_FALSE(keys.has_value());
    EXPECT_THAT(keys.error().message, HasSubstr("sink.credentials"));
  }
}

TEST(KeySource, KeysOfAFileStayAndThereAreNoOthers) {
  AwsKeys keys;
  keys.access_key_id = "A";
  KeySource source(keys);
  EXPECT_EQ(source.Get(WallTimeFromNs(0))->access_key_id, "A");
  EXPECT_FALSE(source.Refused());
  EXPECT_EQ(source.Get(WallTimeFromNs(0))->access_key_id, "A");
}

TEST(KeySource, WithoutAMetadataServiceTheErrorSaysWhatWasAskedFor) {
  KeySource source(std::string("http://127.0.0.1:1"));
  const auto keys = source.Get(ReadWallClock());
  ASSERT_FALSE(keys.has_value());
  EXPECT_THAT(keys.error().message, HasSubstr("IMDSv2"));
}

}  // namespace
}  // namespace culprit
