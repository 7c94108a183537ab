// SPDX-License-Identifier: Apache-2.0
// The journal on a file system that loses what was not synced, cut at random instants (root, /dev/fuse).
// CULPRIT_KILL_ROUNDS sets the number of rounds (20).
#include <gmock/gmock.h>

#include <cstdlib>
#include <random>

#include "tests/collector/journal/journal_fixture.h"
#include "tests/support/crash_child.h"
#include "tests/support/faultfs/faultfs_mount.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;

int Rounds() {
  const char* rounds = std::getenv("CULPRIT_KILL_ROUNDS");
  return rounds != nullptr ? std::atoi(rounds) : 20;
}

void WriteUntilKilled(const JournalOptions& options, std::uint64_t seed,
                      const std::function<void(std::uint64_t)>& promise) {
  auto journal = Journal::Open(options);
  if (!journal) std::_Exit(2);
  std::mt19937_64 random(seed);
  FrameMaker maker;
  for (;;) {
    (*journal)->Append({}, maker.Make(random() % 3000), [&](const Result<Lsn>& lsn) {
      if (!lsn) std::_Exit(3);
      promise(*lsn);
    });
  }
}

class JournalPowerCutTest : public JournalFixture,
                            public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  std::size_t acknowledged_ = 0;
};

TEST_P(JournalPowerCutTest, NothingThatWasAcknowledgedIsLostAndItAlwaysStarts) {
  const FaultfsMount mount(CULPRIT_FAULTFS, GetParam());
  UseSigningKey();
  options_.directory = mount.path() + "/journal";
  options_.segment_bytes = 128 << 10;
  std::mt19937_64 random(GetParam() + 23);
  Lsn newest = 0;
  for (int round = 0; round < Rounds(); ++round) {
    SCOPED_TRACE(round);
    journal_.reset();
    const std::uint64_t seed = random();
    const auto promises = RunAndKill(
        [&](const std::function<void(std::uint64_t)>& promise) {
          WriteUntilKilled(options_, seed, promise);
        },
        std::chrono::microseconds(20'000 + random() % 150'000));
    if (!promises.empty()) newest = promises.back();
    mount.Control("drop");
    Open();
    EXPECT_GE(journal_->stats().durable_lsn, newest);
    // A damaged end that was never acknowledged is kept, and its LSNs are passed over: LSNs may jump, entries may not.
    const std::vector<Lsn> lsns = Lsns();
    EXPECT_GE(lsns.size(), acknowledged_ + promises.size());
    acknowledged_ = lsns.size();
    newest = journal_->stats().durable_lsn;
  }
  EXPECT_GT(newest, 20U);
}

TEST_P(JournalPowerCutTest, AFailedSyncStopsItForGoodAndNothingIsAcknowledged) {
  const FaultfsMount mount(CULPRIT_FAULTFS, GetParam());
  options_.directory = mount.path() + "/journal";
  Open();
  FrameMaker maker;
  AppendMany(&maker, 3);
  mount.Control("fail-sync on");
  const auto failed = Append(maker.Make());
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, Code::kDataLoss);
  mount.Control("fail-sync off");
  EXPECT_FALSE(Append(maker.Make()).has_value());
  EXPECT_THAT(journal_->stats().failed, HasSubstr("restart"));
  EXPECT_EQ(journal_->stats().durable_lsn, 3U);
  journal_.reset();
  mount.Control("drop");
  Open();
  EXPECT_GE(journal_->stats().durable_lsn, 3U);
  AppendMany(&maker, 1);
}

TEST_P(JournalPowerCutTest, AFullDiskRefusesAndThenGoesOn) {
  const FaultfsMount mount(CULPRIT_FAULTFS, GetParam());
  options_.directory = mount.path() + "/journal";
  Open();
  FrameMaker maker;
  AppendMany(&maker, 3);
  mount.Control("full on");
  const Frame frame = maker.Make();
  const auto refused = Append(frame);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  mount.Control("full off");
  ASSERT_TRUE(Append(frame).has_value());
  EXPECT_EQ(Lsns(), Range(1, 4));
}

INSTANTIATE_TEST_SUITE_P(Drops, JournalPowerCutTest, ::testing::Values(0, 1));

}  // namespace
}  // namespace culprit
