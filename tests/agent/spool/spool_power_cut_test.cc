// SPDX-License-Identifier: Apache-2.0
// The spool on a file system that loses what was not synced, cut at random instants (root, /dev/fuse).
// CULPRIT_KILL_ROUNDS sets the number of rounds (20).
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "tests/agent/spool/spool_fixture.h"
#include "tests/support/crash_child.h"
#include "tests/support/faultfs/faultfs_mount.h"

namespace culprit {
namespace {

int Rounds() {
  const char* rounds = std::getenv("CULPRIT_KILL_ROUNDS");
  return rounds != nullptr ? std::atoi(rounds) : 20;
}

// Appends and syncs until it is killed. Promises seq * 2 + lane of the newest frames once Sync() returned.
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
    if (random() % 20 != 0) continue;
    if (!(*spool)->Sync()) std::_Exit(4);
    for (const Lane synced : {Lane::kEvidence, Lane::kBulk}) {
      promise((*spool)->lane(synced).newest_seq * 2 + static_cast<std::uint64_t>(synced));
      const std::uint64_t newest = (*spool)->lane(synced).newest_seq;
      // The collector acknowledges what it has durably: never more than was sent, and that may be unsynced here.
      if (newest > 40 && !(*spool)->Acknowledge(synced, newest - 40)) std::_Exit(5);
    }
  }
}

class SpoolPowerCutTest : public SpoolFixture, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  // A disk may keep a later write and lose an earlier one: such a hole is declared, and never in what was synced.
  void CheckLosses(const std::array<std::uint64_t, kLaneCount>& synced) {
    for (const SpoolLoss& loss : spool_->TakeLosses()) {
      if (loss.frames == 0) continue;
      EXPECT_GT(loss.first_seq, synced[static_cast<std::size_t>(loss.lane)]) << loss.detail;
      for (std::uint64_t seq = loss.first_seq; seq <= loss.last_seq; ++seq) {
        lost_[loss.lane].insert(seq);
      }
    }
    ASSERT_TRUE(spool_->Append(Lane::kEvidence, FrameKind::kLoss, {}, 1, "losses").has_value());
  }

  std::map<Lane, std::set<std::uint64_t>> lost_;
};

TEST_P(SpoolPowerCutTest, NothingThatWasSyncedIsLostAndItAlwaysStarts) {
  const FaultfsMount mount(CULPRIT_FAULTFS, GetParam());
  options_.directory = mount.path() + "/spool";
  options_.segment_bytes = 32 << 10;
  std::mt19937_64 random(GetParam() + 17);
  std::array<std::uint64_t, kLaneCount> synced{};
  Uuid stream;
  std::size_t promises_in_all = 0;
  for (int round = 0; round < Rounds(); ++round) {
    SCOPED_TRACE(round);
    spool_.reset();
    const std::uint64_t seed = random();
    const auto promises = RunAndKill(
        [&](const std::function<void(std::uint64_t)>& promise) {
          WriteUntilKilled(options_, seed, promise);
        },
        std::chrono::microseconds(20'000 + random() % 150'000));
    for (const std::uint64_t promise : promises) {
      synced[promise % 2] = std::max(synced[promise % 2], promise / 2);
    }
    promises_in_all += promises.size();
    mount.Control("drop");
    Open();
    if (promises_in_all > 0) {
      if (stream != Uuid{}) {
        EXPECT_EQ(spool_->stream_id(), stream);
      }
      stream = spool_->stream_id();
    }
    CheckLosses(synced);
    for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
      const LaneState state = spool_->lane(lane);
      EXPECT_GE(state.newest_seq, synced[static_cast<std::size_t>(lane)]);
      if (state.newest_seq > 0) {
        std::vector<std::uint64_t> expected = Range(state.oldest_seq, state.newest_seq);
        std::erase_if(expected, [&](std::uint64_t seq) { return lost_[lane].contains(seq); });
        EXPECT_EQ(Seqs(lane), expected);
      }
      synced[static_cast<std::size_t>(lane)] = state.newest_seq;
    }
    ASSERT_TRUE(spool_->Sync().has_value());
  }
  EXPECT_GT(promises_in_all, 20U);
}

// 0: a drop keeps nothing that was not synced. Else: a random part of it, whole or torn.
INSTANTIATE_TEST_SUITE_P(Drops, SpoolPowerCutTest, ::testing::Values(0, 1));

}  // namespace
}  // namespace culprit
