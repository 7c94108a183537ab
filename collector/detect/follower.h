// SPDX-License-Identifier: Apache-2.0
// DetectFollower: reads the journal as it grows, feeds the detectors and keeps what they find.
//
// Stage: detect (edge: journal, findings). Thread: Run() belongs to one thread; stats() from any.
// After a start it reads a bounded tail of the journal again, so that what the detectors remember
// is warm; findings of it change nothing that is there, and those that are stored go on from there.
// Failure: where findings cannot be stored it says so in stats() and tries again from the last LSN
// that was stored.
#ifndef CULPRIT_COLLECTOR_DETECT_FOLLOWER_H_
#define CULPRIT_COLLECTOR_DETECT_FOLLOWER_H_

#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "collector/detect/finding_store.h"
#include "collector/detect/scene.h"
#include "collector/detect/thresholds.h"
#include "collector/journal/journal.h"
#include "collector/model/ingest_stats.h"

namespace culprit {

class DetectEngine;

struct DetectStats {
  Lsn applied_lsn = 0;
  std::uint64_t findings = 0;  // put, updates included
  std::string failing;         // empty = working
};

class DetectFollower {
 public:
  // What ingest knows of its agents; any thread.
  using Agents = std::function<std::vector<AgentIngestStats>()>;

  // All outlive the follower, and what `inputs` points to.
  DetectFollower(Journal& journal, FindingStore& store, const DetectThresholds& thresholds,
                 SceneInputs inputs, Agents agents)
      : journal_(journal),
        store_(store),
        agents_(std::move(agents)),
        thresholds_(thresholds),
        inputs_(std::move(inputs)) {}
  // Blocks until asked to stop.
  void Run(const std::stop_token& stop);
  DetectStats stats() const;
  // Other thresholds and hours, within half a second. The detectors begin anew with them as after a
  // start: the tail of the journal is read again. Any thread.
  void Retune(const DetectThresholds& thresholds, const WorkHours& hours);

 private:
  Status Follow(const std::stop_token& stop);
  Status Resume(Lsn done, DetectEngine* engine);
  void Report(Lsn applied, const Status& status);
  std::uint64_t tunings() const;

  Journal& journal_;
  FindingStore& store_;
  const Agents agents_;
  mutable std::mutex mutex_;
  // All below guarded by mutex_.
  DetectThresholds thresholds_;
  SceneInputs inputs_;
  std::uint64_t tunings_ = 0;
  DetectStats stats_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_FOLLOWER_H_
