// SPDX-License-Identifier: Apache-2.0
// Names in a bundle come from a host that may be hostile: nothing is written but below the
// directory, through no link, over no file.
#include "collector/cli/commands/bundle_extract.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/support/bundle_bytes.h"
#include "tests/support/temp_dir.h"

namespace culprit::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class BundleExtractTest : public ::testing::Test {
 protected:
  Result<Extracted> Extract(const std::string& bytes, const std::vector<std::string>& only = {}) {
    return ExtractBundle(SourceOfBytes(bytes), to_, only);
  }
  std::string Content(const std::string& name) {
    return ReadWholeFile(to_ + "/" + name, 1 << 20).value_or("(none)");
  }
  TempDir directory_;
  const std::string to_ = directory_ / "out";
};

TEST_F(BundleExtractTest, MembersBecomeFilesThatOnlyTheirOwnerReads) {
  const auto extracted = Extract(MakeTestBundle().bytes);
  ASSERT_TRUE(extracted) << extracted.error().message;
  EXPECT_THAT(extracted->refused, IsEmpty());
  EXPECT_EQ(extracted->broken, "");
  EXPECT_EQ(Content("[root]/etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
  struct stat st {};
  ASSERT_EQ(stat((to_ + "/[root]/etc/passwd").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0600U);
}

TEST_F(BundleExtractTest, OnlyWhatWasAskedFor) {
  const auto extracted =
      Extract(MakeTestBundle().bytes, {AsMemberName("/etc"), "live/empty.jsonl"});
  ASSERT_TRUE(extracted);
  EXPECT_EQ(extracted->files, 2U);
  EXPECT_EQ(Content("[root]/tmp/noise"), "(none)");
}

TEST_F(BundleExtractTest, ANameThatLeadsElsewhereIsRefusedAndTheRestIsWritten) {
  const std::string outside = directory_ / "outside";
  const auto extracted = Extract(PackBundle({{"../outside", "x"},
                                             {"/absolute", "x"},
                                             {"a/../../outside", "x"},
                                             {"a//b", "x"},
                                             {"a/./b", "x"},
                                             {"good", "1"},
                                             {"good", "2"},
                                             {"good/below", "3"}}));
  ASSERT_TRUE(extracted) << extracted.error().message;
  EXPECT_THAT(extracted->refused, UnorderedElementsAre("../outside", "/absolute", "a/../../outside",
                                                       "a//b", "a/./b", "good", "good/below"));
  EXPECT_EQ(Content("good"), "1");
  EXPECT_NE(access(outside.c_str(), F_OK), 0);
  EXPECT_THAT(ListDirectory(to_).value(), ElementsAre("good"));
}

TEST_F(BundleExtractTest, ALinkInABundleEndsIt) {
  const auto extracted = Extract(PackBundle({{"first", "1"}, {"link", "", '2'}, {"link/x", "2"}}));
  ASSERT_TRUE(extracted);
  EXPECT_NE(extracted->broken, "");
  EXPECT_EQ(Content("first"), "1");
  EXPECT_THAT(ListDirectory(to_).value(), ElementsAre("first"));
}

TEST_F(BundleExtractTest, ADirectoryThatHoldsSomethingIsLeftAlone) {
  ASSERT_EQ(mkdir(to_.c_str(), 0700), 0);
  ASSERT_EQ(symlink("/etc", (to_ + "/[root]").c_str()), 0);
  const auto refused = Extract(MakeTestBundle().bytes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

TEST_F(BundleExtractTest, WhatIsThereOfATruncatedBundleIsWritten) {
  const TestBundle bundle = MakeTestBundle();
  const auto extracted = Extract(bundle.bytes.substr(0, bundle.tier_ends[0] + 100));
  ASSERT_TRUE(extracted);
  EXPECT_NE(extracted->broken, "");
  EXPECT_EQ(Content("live/processes.jsonl"), "{\"pid\":1}\n{\"pid\":2}\n");
}

TEST(PathPartsTest, AreFitForAFileSystem) {
  EXPECT_THAT(PathParts("a/b"), ElementsAre("a", "b"));
  for (const char* bad : {"", "/", "a/", "/a", "..", "a/..", ".", "a//b"})
    EXPECT_THAT(PathParts(bad), IsEmpty()) << bad;
  const std::vector<std::string> long_name = PathParts("a/" + std::string(700, 'x'));
  ASSERT_EQ(long_name.size(), 2U);
  EXPECT_LE(long_name[1].size(), 255U);
  EXPECT_NE(PathParts(std::string(700, 'x'))[0], PathParts(std::string(701, 'x'))[0]);
}

}  // namespace
}  // namespace culprit::cli
