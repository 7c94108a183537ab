// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/key_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

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
