// SPDX-License-Identifier: Apache-2.0
// A disk that fills up under the running agent and is freed again. Needs root: the disk is a small
// tmpfs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "agent/agent.h"
#include "agent/model/wire.h"
#include "common/framed_log.h"
#include "tests/support/small_disk.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

// New processes at every step of 50 ms; `at_step` may change the world.
class ScriptedSource final : public EventSource {
 public:
  ScriptedSource(int steps, std::function<void(int)> at_step)
      : steps_(steps), at_step_(std::move(at_step)) {}

  Status Start(const RecordSink&) override { return Ok(); }
  Result<bool> Poll(milliseconds, const RecordSink& sink) override {
    now_ += milliseconds(50);
    ++step_;
    at_step_(step_);
    for (std::uint32_t i = 0; i < 20; ++i) {
      culprit_fork fork{};
      fork.header = {CULPRIT_RECORD_FORK, 0, sizeof(fork), ToNs(now_)};
      const auto tgid = static_cast<std::uint32_t>(step_) * 100 + i + 2;
      fork.child = {ToNs(now_), 1, tgid, 0};
      fork.parent = {1, 1, 1, 0};
      std::memcpy(fork.comm, "worker", 7);
      sink({reinterpret_cast<const char*>(&fork), sizeof(fork)});
      culprit_counters counters{};
      counters.header = {CULPRIT_RECORD_COUNTERS, 0, sizeof(counters), ToNs(now_)};
      counters.key = fork.child;
      counters.tcp_attempts = counters.outcome[CULPRIT_OUTCOME_REFUSED] = 1 + tgid % 7;
      sink({reinterpret_cast<const char*>(&counters), sizeof(counters)});
    }
    return step_ < steps_;
  }
  Status Sweep(const RecordSink&) override { return Ok(); }
  Uuid boot_id() const override { return {}; }
  ClockPair ReadClock() override {
    return {now_, WallTimeFromNs(1'700'000'000'000'000'000), ClockSync::kSynced};
  }
  SourceFidelity fidelity() const override {
    return {.hooks = {}, .owner_mode = "creator", .source = "replay"};
  }
  std::vector<ProgramCost> program_costs() const override { return {}; }

 private:
  int steps_, step_ = 0;
  std::function<void(int)> at_step_;
  BootTime now_ = BootTimeFromNs(1'000'000'000);
};

TEST(DiskFullTest, IsVisibleWhileItLastsCountedAndOverWhenThereIsRoomAgain) {
  const SmallDisk disk(4);
  AgentStatus during, after;
  std::unique_ptr<Agent> agent;
  AgentSetup setup;
  setup.config.state_dir = disk / "state";
  setup.replay = true;
  setup.open_source = [&](UserEventSink) -> Result<std::unique_ptr<EventSource>> {
    return std::unique_ptr<EventSource>(std::make_unique<ScriptedSource>(400, [&](int step) {
      if (step == 100) disk.Fill();
      if (step == 250) during = agent->status();
      if (step == 251) disk.Free();
      if (step == 399) after = agent->status();
    }));
  };
  auto created = Agent::Create(std::move(setup));
  ASSERT_TRUE(created.has_value()) << created.error().message;
  agent = std::move(*created);
  const int stop = eventfd(0, EFD_CLOEXEC);
  const auto ran = agent->Run(stop);
  close(stop);
  ASSERT_TRUE(ran.has_value()) << ran.error().message;
  agent.reset();

  ASSERT_FALSE(during.degraded.empty());
  EXPECT_THAT(during.degraded.front(), HasSubstr("No space left on device"));
  EXPECT_TRUE(after.degraded.empty()) << after.degraded.front();

  // What could not be written was declared, and the chain has no hole.
  SpoolOptions options;
  options.directory = disk / "state/spool";
  auto spool = Spool::Open(options);
  ASSERT_TRUE(spool.has_value()) << spool.error().message;
  std::uint64_t declared = 0;
  Sha256Digest previous{};
  for (const SpoolSegment& segment : (*spool)->segments(Lane::kEvidence)) {
    auto fd = (*spool)->OpenSegment(Lane::kEvidence, segment.number);
    ASSERT_TRUE(fd.has_value());
    auto reader = SegmentReader::Open(std::move(*fd), nullptr);
    ASSERT_TRUE(reader.has_value());
    while (true) {
      auto frame = reader->Next();
      ASSERT_TRUE(frame.has_value());
      if (!*frame) break;
      EXPECT_EQ((*frame)->header.prev_hash, previous);
      previous = (*frame)->hash;
      auto inflated = InflatePayload((*frame)->header, (*frame)->payload);
      ASSERT_TRUE(inflated.has_value());
      auto batch = ParseBatch(*inflated);
      ASSERT_TRUE(batch.has_value());
      for (const LossFacts& loss : batch->losses) {
        if (loss.cause == LossCause::kSpoolWrite) declared += loss.count;
      }
    }
  }
  EXPECT_GT(declared, 0U);
}

}  // namespace
}  // namespace culprit
