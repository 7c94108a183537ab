// SPDX-License-Identifier: Apache-2.0
// DetectEngine: a HostDetector for each host, fed with frames in the order of the journal.
// Stage: detect. Pure. Thread: one caller. Bounded: of more hosts than it holds, those that were
// silent longest are forgotten.
#ifndef CULPRIT_COLLECTOR_DETECT_ENGINE_H_
#define CULPRIT_COLLECTOR_DETECT_ENGINE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collector/detect/host_detector.h"

namespace culprit {

// 16 hex digits of agent, rule, subject and beginning: the same evidence gives the same id, whoever
// reads it and how often.
std::string FindingId(const v1::Finding& finding);

class DetectEngine {
 public:
  DetectEngine(const DetectThresholds& thresholds, FindingSink sink, SceneInputs inputs = {})
      : thresholds_(thresholds),
        sink_(std::move(sink)),
        scene_(thresholds.baseline, std::move(inputs)) {}

  // What was stored before a restart: the baseline, and findings up to the last frame that was
  // taken then. To be called before the first frame.
  void Resume(const std::vector<SeenRow>& seen, std::vector<v1::Finding> findings);
  void Take(const DecodedFrame& frame);
  // Of the baseline, since the last call.
  std::vector<SeenRow> TakeSeen() { return scene_.baseline().TakeChanges(); }
  std::size_t hosts() const { return hosts_.size(); }

 private:
  struct Host {
    std::unique_ptr<HostDetector> detector;
    Lsn last = 0;
    std::string name;
  };
  HostDetector* DetectorOf(const Uuid& agent, Host* host);

  const DetectThresholds thresholds_;
  FindingSink sink_;
  Scene scene_;
  std::map<std::string, std::vector<v1::Finding>> stored_;  // by agent, as text
  // By the bytes of agent and boot: ids and times of one boot say nothing about those of another,
  // and each capture that is replayed is one.
  std::map<std::string, Host> hosts_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_ENGINE_H_
