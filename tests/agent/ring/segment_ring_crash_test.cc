// SPDX-License-Identifier: Apache-2.0
// kill -9 at random instants: what Flush() returned for is there, everything on disk can be read,
// and the bound holds. CULPRIT_KILL_ROUNDS sets the number of rounds (20).
#include <cstdlib>
#include <random>

#include "tests/agent/ring/ring_fixture.h"
#include "tests/support/crash_child.h"
#include "tests/support/damage.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

int Rounds() {
  const char* rounds = std::getenv("CULPRIT_KILL_ROUNDS");
  return rounds != nullptr ? std::atoi(rounds) : 20;
}

void WriteUntilKilled(const SegmentRingOptions& options, std::uint32_t first, std::uint64_t seed,
                      const std::function<void(std::uint64_t)>& promise) {
  RingWriter writer(options);
  std::mt19937_64 random(seed);
  for (std::uint32_t n = first;; ++n) {
    writer.Write(n, random() % 2000, ProcessId{n % 100}, FlowId{n});
    if (random() % 10 != 0) continue;
    writer.ring().Flush();
    promise(n);
  }
}

TEST(SegmentRingCrashTest, FlushedPacketsSurviveAndAllIsReadable) {
  const TempDir dir(TempDir::Where::kMemory);
  const SegmentRingOptions options = SmallRing(dir.path());
  std::mt19937_64 random(11);
  std::uint32_t first = 0;
  std::size_t promised_in_all = 0;
  for (int round = 0; round < Rounds(); ++round) {
    SCOPED_TRACE(round);
    const std::uint64_t seed = random();
    const auto promises = RunAndKill(
        [&](const std::function<void(std::uint64_t)>& promise) {
          WriteUntilKilled(options, first, seed, promise);
        },
        std::chrono::microseconds(5'000 + random() % 100'000),
        round % 4 == 0 ? LifeBegins::kAtFork : LifeBegins::kAtFirstPromise);
    EXPECT_LE(BytesBelow(dir.path()), options.max_bytes);
    const auto before = FindPackets({dir.path()});
    const RingWriter writer(options);
    EXPECT_LE(BytesBelow(dir.path()), options.max_bytes);
    EXPECT_THAT(FilesWithSuffix(dir.path(), ".open"), ::testing::IsEmpty());
    QueryStats stats;
    const auto found = FindPackets({dir.path()}, {}, &stats);
    EXPECT_EQ(found.size(), before.size());
    EXPECT_EQ(stats.damaged, 0U);
    for (std::size_t i = 1; i < found.size(); ++i) {
      ASSERT_EQ(RingWriter::NumberOf(found[i]), RingWriter::NumberOf(found[i - 1]) + 1);
    }
    promised_in_all += promises.size();
    if (!promises.empty()) {
      ASSERT_FALSE(found.empty());
      EXPECT_GE(RingWriter::NumberOf(found.back()), promises.back());
    }
    if (!found.empty()) first = RingWriter::NumberOf(found.back()) + 1;
  }
  EXPECT_GT(promised_in_all, 0U);
}

}  // namespace
}  // namespace culprit::testing
