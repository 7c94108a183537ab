// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/follower.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "collector/detect/engine.h"
#include "collector/detect/integrity.h"
#include "collector/model/batch_decoder.h"

namespace culprit {
namespace {

constexpr Lsn kWarmFrames = 20'000;       // read again after a start
constexpr std::uint32_t kResumed = 4096;  // findings that may go on
constexpr auto kPause = std::chrono::milliseconds(200);
constexpr auto kCommitInterval = std::chrono::milliseconds(500);
constexpr auto kTick = std::chrono::seconds(1);

}  // namespace

// What could not be stored is found again: the detectors begin anew behind the last mark.
void DetectFollower::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Status followed = Follow(stop);
    if (followed) continue;  // to the end, or with other thresholds
    Report(store_.committed(), followed);
    for (int i = 0; i < 10 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(kPause);
  }
}

Status DetectFollower::Resume(Lsn done, DetectEngine* engine) {
  TRY(const std::vector<SeenRow> seen, store_.LoadSeen());
  FindingQuery newest;
  newest.limit = kResumed;
  TRY(std::vector<v1::Finding> findings, store_.List(newest));
  std::erase_if(findings, [done](const v1::Finding& f) { return f.last_lsn() > done; });
  engine->Resume(seen, std::move(findings));
  return Ok();
}

Status DetectFollower::Follow(const std::stop_token& stop) {
  Status put = Ok();
  const auto sink = [&](const v1::Finding& finding) {
    if (put) put = store_.Put(finding, ReadWallClock());
    const std::lock_guard lock(mutex_);
    ++stats_.findings;
  };
  std::unique_lock settings(mutex_);
  const std::uint64_t tuning = tunings_;
  const DetectThresholds thresholds = thresholds_;
  const SceneInputs inputs = inputs_;
  settings.unlock();
  DetectEngine engine(thresholds, sink, inputs);
  IntegrityDetector integrity(thresholds.integrity, sink);
  auto next_tick = std::chrono::steady_clock::now();
  const Lsn done = store_.committed();
  TRY_VOID(Resume(done, &engine));
  Lsn next = done > kWarmFrames ? done - kWarmFrames + 1 : 1;
  while (!stop.stop_requested() && tunings() == tuning) {
    const auto until = std::chrono::steady_clock::now() + kCommitInterval;
    TRY_VOID(journal_.Scan(next, [&](const StoredFrame& stored) {
      const DecodedFrame frame = DecodeStoredFrame(stored);
      engine.Take(frame);
      integrity.Take(stored.frame.header, frame);
      next = stored.lsn + 1;
      return put.has_value() && !stop.stop_requested() && std::chrono::steady_clock::now() < until;
    }));
    // Behind a backlog nobody is silent.
    const bool caught_up = next > journal_.stats().durable_lsn;
    if (const auto now = std::chrono::steady_clock::now(); caught_up && now >= next_tick) {
      next_tick = now + kTick;
      integrity.Tick(ReadWallClock(), agents_());
    }
    if (!put) return put;
    TRY_VOID(store_.PutSeen(engine.TakeSeen()));
    // While old frames are read again, the mark stays where it was.
    TRY_VOID(store_.Commit(std::max(store_.committed(), next - 1)));
    Report(next - 1, Ok());
    journal_.WaitFor(next, kPause);
  }
  return Ok();
}

void DetectFollower::Report(Lsn applied, const Status& status) {
  const std::lock_guard lock(mutex_);
  stats_.applied_lsn = applied;
  stats_.failing = status ? "" : status.error().message;
}

void DetectFollower::Retune(const DetectThresholds& thresholds, const WorkHours& hours) {
  const std::lock_guard lock(mutex_);
  thresholds_ = thresholds;
  inputs_.hours = hours;
  ++tunings_;
}

std::uint64_t DetectFollower::tunings() const {
  const std::lock_guard lock(mutex_);
  return tunings_;
}

DetectStats DetectFollower::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace culprit
