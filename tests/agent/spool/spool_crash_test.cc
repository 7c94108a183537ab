// SPDX-License-Identifier: Apache-2.0
// kill -9 at random instants: every frame for which Append() returned is there, once, in its chain.
// CULPRIT_KILL_ROUNDS sets the number of rounds (20).
#include <algorithm>
#include <cstdlib>
#include <random>

#include "tests/agent/spool/spool_fixture.h"
#include "tests/support/crash_child.h"

namespace culprit {
namespace {

int Rounds() {
  const char* rounds = std::getenv("CULPRIT_KILL_ROUNDS");
  return rounds != nullptr ? std::atoi(rounds) : 20;
}

class SpoolCrashTest : public SpoolFixture {};

// Appends to both lanes, acks and syncs now and then, until it is killed. Promises seq * 2 + lane.
void WriteUntilKilled(const SpoolOptions& options, std::uint64_t seed,
                      const std::function<void(std::uint64_t)>& promise) {
  auto spool = Spool::Open(options);
  if (!spool) std::_Exit(2);
  std::mt19937_64 random(seed);
  for (;;) {
    const Lane lane = random() % 3 == 0 ? Lane::kEvidence : Lane::kBulk;
    const auto header = (*spool)->Append(lane, FrameKind::kBatch, ReadClockPair(), 1,
                                         NoiseFor(random(), lane, random() % 4000));
    if (!header) std::_Exit(3);
    promise(header->seq * 2 + static_cast<std::uint64_t>(lane));
    if (random() % 50 == 0 && !(*spool)->Sync()) std::_Exit(4);
    if (random() % 100 == 0 && header->seq > 60 && !(*spool)->Acknowledge(lane, header->seq - 60)) {
      std::_Exit(5);
    }
  }
}

TEST_F(SpoolCrashTest, NothingThatAppendReturnedForIsLostByKill9) {
  options_.segment_bytes = 64 << 10;
  std::mt19937_64 random(7);
  std::array<std::uint64_t, kLaneCount> newest{};
  Uuid stream;
  std::uint64_t promised_in_all = 0;
  for (int round = 0; round < Rounds(); ++round) {
    SCOPED_TRACE(round);
    spool_.reset();
    const std::uint64_t seed = random();
    const auto promises = RunAndKill(
        [&](const std::function<void(std::uint64_t)>& promise) {
          WriteUntilKilled(options_, seed, promise);
        },
        std::chrono::microseconds(5'000 + random() % 60'000),
        round % 4 == 0 ? LifeBegins::kAtFork : LifeBegins::kAtFirstPromise);
    for (const std::uint64_t promise : promises) {
      newest[promise % 2] = std::max(newest[promise % 2], promise / 2);
    }
    promised_in_all += promises.size();
    Open();
    if (stream != Uuid{}) {
      EXPECT_EQ(spool_->stream_id(), stream);
    }
    stream = spool_->stream_id();
    for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
      const LaneState state = spool_->lane(lane);
      const std::uint64_t promised = newest[static_cast<std::size_t>(lane)];
      EXPECT_GE(state.newest_seq, promised);
      EXPECT_LE(state.newest_seq, promised + 1);  // written, and killed before it could say so
      if (state.newest_seq > 0) {
        EXPECT_EQ(Seqs(lane), Range(state.oldest_seq, state.newest_seq));
        EXPECT_LE(state.oldest_seq, state.acked_seq + 1);
      }
      newest[static_cast<std::size_t>(lane)] = state.newest_seq;
    }
    for (const SpoolLoss& loss : spool_->TakeLosses()) EXPECT_EQ(loss.detail, "torn tail");
  }
  EXPECT_GE(promised_in_all, static_cast<std::uint64_t>(Rounds() / 2));
}

}  // namespace
}  // namespace culprit
