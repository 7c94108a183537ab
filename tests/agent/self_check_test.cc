// SPDX-License-Identifier: Apache-2.0
#include "agent/self_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

class SelfCheckTest : public ::testing::Test {
 protected:
  HeartbeatFacts Beat(SelfCheck& check, const Spool* spool = nullptr) {
    HeartbeatFacts beat;
    check.Fill(spool, &beat);
    return beat;
  }
  TempDir dir_{TempDir::Where::kMemory};
  const std::string config_ = dir_ / "agent.toml";
  const Uuid boot_ = Uuid::Random();
};

TEST_F(SelfCheckTest, TheNextRunKnowsHowTheOneBeforeEnded) {
  {
    SelfCheck first(dir_.path(), config_, Uuid::Random(), boot_);
    EXPECT_EQ(Beat(first).previous_run, "none");
  }
  {
    SelfCheck killed(dir_.path(), config_, Uuid::Random(), boot_);
    EXPECT_EQ(Beat(killed).previous_run, "killed");
  }
  SelfCheck reset(dir_.path(), config_, Uuid::Random(), Uuid::Random());
  EXPECT_EQ(Beat(reset).previous_run, "reset");
  reset.Stop("signal");
  SelfCheck stopped(dir_.path(), config_, Uuid::Random(), boot_);
  EXPECT_EQ(Beat(stopped).previous_run, "stopped");
}

TEST_F(SelfCheckTest, AMarkThatNoRunWroteIsNone) {
  for (const char* text : {"", "x", "state", "state ", "state gone\n", "xstate running\n",
                           "boot 1\nstate runningx\n"}) {
    EXPECT_EQ(ReadRunMark(text, boot_), "none") << text;
  }
}

TEST_F(SelfCheckTest, AnEditedConfigurationShowsAtTheNextHeartbeat) {
  ASSERT_TRUE(WriteFileAtomically(config_, "a"));
  SelfCheck check(dir_.path(), config_, Uuid::Random(), boot_);
  const auto before = Beat(check).config_sha256;
  EXPECT_EQ(before, Sha256Of("a"));
  ASSERT_TRUE(WriteFileAtomically(config_, "b"));
  EXPECT_EQ(Beat(check).config_sha256, Sha256Of("b"));
  ASSERT_TRUE(RemoveFile(config_));
  EXPECT_EQ(Beat(check).config_sha256, std::nullopt);
}

TEST_F(SelfCheckTest, TheProgramHasAHash) {
  SelfCheck check(dir_.path(), "", Uuid::Random(), boot_);
  const HeartbeatFacts beat = Beat(check);
  ASSERT_TRUE(beat.exe_sha256);
  EXPECT_NE(*beat.exe_sha256, Sha256Digest{});
  EXPECT_EQ(beat.exe_sha256, Beat(check).exe_sha256);
}

TEST_F(SelfCheckTest, FilesThatWereRemovedUnderTheSpoolAreCounted) {
  SpoolOptions options;
  options.directory = dir_ / "spool";
  ASSERT_TRUE(MakeDirectories(options.directory, 0700));
  auto spool = Spool::Open(options);
  ASSERT_TRUE(spool);
  ASSERT_TRUE((*spool)->Append(Lane::kEvidence, FrameKind::kBatch, ReadClockPair(), 1, "x"));
  SelfCheck check(dir_.path(), "", Uuid::Random(), boot_);
  EXPECT_EQ(Beat(check, spool->get()).spool_files_missing, 0U);
  const auto names = ListDirectory(options.directory);
  ASSERT_TRUE(names);
  for (const std::string& name : *names) ASSERT_TRUE(RemoveFile(options.directory + "/" + name));
  ASSERT_TRUE((*spool)->RestoreRemoved());
  EXPECT_EQ(Beat(check, spool->get()).spool_files_missing, 1U);
  ASSERT_TRUE((*spool)->RestoreRemoved());
  EXPECT_EQ(Beat(check, spool->get()).spool_files_missing, 1U);
}

}  // namespace
}  // namespace culprit::testing
