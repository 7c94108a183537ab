// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/packets_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/crc32c.h"
#include "common/file.h"
#include "tests/support/temp_dir.h"

namespace culprit::cli {
namespace {

class PacketsFileTest : public ::testing::Test {
 protected:
  // A fetch that stopped behind `bytes`.
  void Break(const std::string& bytes) {
    auto file = PacketsFile::Create(path_);
    ASSERT_TRUE(file) << file.error().message;
    v1::FetchPacketsRequest request;
    request.set_fetch_id(std::string("\0f", 2));
    request.add_process_ids("00000000000000ff");
    ASSERT_TRUE(file->Remember(request));
    ASSERT_TRUE(file->Write(bytes));
  }
  TempDir directory_{TempDir::Where::kMemory};
  const std::string path_ = directory_ / "out.pcapng";
};

TEST_F(PacketsFileTest, GoesOnBehindWhatIsThereWithTheSameRequest) {
  const std::string first(600'000, 'a');
  Break(first);
  EXPECT_FALSE(std::filesystem::exists(path_)) << "it is not whole";
  v1::FetchPacketsRequest request;
  auto file = PacketsFile::Continue(path_, &request);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(request.fetch_id(), std::string("\0f", 2));
  EXPECT_EQ(request.process_ids(0), "00000000000000ff");
  EXPECT_EQ(file->bytes(), first.size());
  EXPECT_EQ(file->crc32c(), Crc32c(first));
  ASSERT_TRUE(file->Write("rest"));
  EXPECT_EQ(file->crc32c(), Crc32c(first + "rest"));
  ASSERT_TRUE(file->Finish());
  EXPECT_EQ(ReadWholeFile(path_, 1 << 20).value(), first + "rest");
  EXPECT_EQ(ListDirectory(directory_.path())->size(), 1U) << "nothing else is left";
}

TEST_F(PacketsFileTest, BeginningAnewForgetsWhatBroke) {
  Break("old");
  auto file = PacketsFile::Create(path_);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->Write("new"));
  ASSERT_TRUE(file->Finish());
  EXPECT_EQ(ReadWholeFile(path_, 100).value(), "new");
}

TEST_F(PacketsFileTest, WithoutABrokenFetchThereIsNothingToGoOnWith) {
  v1::FetchPacketsRequest request;
  const auto none = PacketsFile::Continue(path_, &request);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kInvalidArgument);
  Break("bytes");
  std::ofstream(path_ + ".part.fetch") << "{ no json";
  EXPECT_FALSE(PacketsFile::Continue(path_, &request));
}

}  // namespace
}  // namespace culprit::cli
