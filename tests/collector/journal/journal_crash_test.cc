// SPDX-License-Identifier: Apache-2.0
// kill -9 at random instants: every frame whose `done` ran is there, once. CULPRIT_KILL_ROUNDS sets the rounds (20).
#include <cstdlib>
#include <map>
#include <random>

#include "tests/collector/journal/journal_fixture.h"
#include "tests/support/crash_child.h"

namespace culprit {
namespace {

int Rounds() {
  const char* rounds = std::getenv("CULPRIT_KILL_ROUNDS");
  return rounds != nullptr ? std::atoi(rounds) : 20;
}

class JournalCrashTest : public JournalFixture {};

// Appends frames of one stream until it is killed. Promises the LSN of each.
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

TEST_F(JournalCrashTest, NothingThatWasDoneIsLostByKill9) {
  options_.segment_bytes = 256 << 10;
  std::mt19937_64 random(11);
  Lsn newest = 0;
  for (int round = 0; round < Rounds(); ++round) {
    SCOPED_TRACE(round);
    journal_.reset();
    const std::uint64_t seed = random();
    const auto promises = RunAndKill(
        [&](const std::function<void(std::uint64_t)>& promise) {
          WriteUntilKilled(options_, seed, promise);
        },
        std::chrono::microseconds(5'000 + random() % 60'000),
        round % 4 == 0 ? LifeBegins::kAtFork : LifeBegins::kAtFirstPromise);
    if (!promises.empty()) newest = promises.back();
    Open();
    EXPECT_GE(journal_->stats().durable_lsn, newest);
    newest = journal_->stats().durable_lsn;
    EXPECT_EQ(Lsns(), Range(1, newest));
    for (const JournalDamage& damage : journal_->damage()) {
      EXPECT_EQ(damage.what, "incomplete entry at the end");
    }
  }
  EXPECT_GE(newest, static_cast<Lsn>(Rounds() / 2));
  journal_->Stop();
  EXPECT_EQ(Text(Verify().damage), "");
}

}  // namespace
}  // namespace culprit
