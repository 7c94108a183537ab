// SPDX-License-Identifier: Apache-2.0
// IntegrityDetector: findings about the evidence itself, and about the agent that gives it:
// silence, a stop, a kill, a pause, a gap, two histories under one identity, hooks that were taken
// away, a changed program or configuration, a lost spool, a clock that was set, a storm that names
// are lost in.
//
// Stage: detect. Pure: frames in the order of the journal, and ticks of the collector's clock.
// Thread: one caller. Bounded: agents, streams, gaps and flows that are remembered. Times are the
// collector's, since the host's own clock may be what was tampered with. The same journal gives the
// same findings with the same ids; silence alone is judged by ticks, and its id by the last frame.
#ifndef CULPRIT_COLLECTOR_DETECT_INTEGRITY_H_
#define CULPRIT_COLLECTOR_DETECT_INTEGRITY_H_

#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "collector/detect/integrity_state.h"
#include "collector/detect/thresholds.h"
#include "collector/model/decoded_frame.h"
#include "collector/model/ingest_stats.h"
#include "common/frame.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

class IntegrityDetector {
 public:
  // Takes a finding that is new or has moved on, complete but for what an operator decides.
  using Sink = std::function<void(const v1::Finding&)>;

  IntegrityDetector(const IntegrityThresholds& thresholds, Sink sink)
      : thresholds_(thresholds), sink_(std::move(sink)) {}

  void Take(const FrameHeader& header, const DecodedFrame& frame);
  // Everything in the journal was taken. `agents`: what ingest knows, as far as no frame tells it.
  void Tick(WallTime now, const std::vector<AgentIngestStats>& agents);

 private:
  // What is to be said of an agent; `first` and `at` by the collector's clock.
  struct Notice {
    const char* rule = "";
    v1::Severity severity = v1::SEVERITY_MEDIUM;
    v1::Confidence confidence = v1::CONFIDENCE_HIGH;
    WallTime first, at;
    Lsn lsn = 0;
    std::string reason;
    std::vector<v1::Measure> measures;
    bool with_flows = false;  // what it did last matters
    bool alone = false;       // an episode of its own, however soon after another
  };

  WatchedAgent& AgentOf(const DecodedFrame& frame);
  WatchedStream& StreamOf(const FrameHeader& header, const DecodedFrame& frame,
                          WatchedAgent* agent);
  void JudgeFork(const FrameHeader& header, const DecodedFrame& frame, WatchedAgent* agent);
  void TakeGap(const FrameHeader& header, const DecodedFrame& frame, WatchedAgent* agent);
  void TakeLosses(const DecodedFrame& frame, WatchedAgent* agent, WatchedStream* stream);
  void TakeShed(const DecodedFrame& frame, WatchedAgent* agent);  // integrity_shed.cc
  void TakeBeat(const DecodedFrame& frame, WatchedAgent* agent, WatchedStream* stream);

  void JudgeHooks(const Beat& beat, WatchedAgent* agent, WatchedStream* stream);

  // Of two heartbeats of one agent, or of one alone. Defined in integrity_beat.cc.
  void JudgeStream(const Beat& beat, WatchedAgent* agent, WatchedStream* stream);
  void JudgeRestart(const Beat& before, const Beat& beat, WatchedAgent* agent);
  void JudgePause(const Beat& before, const Beat& beat, WatchedAgent* agent);
  void JudgeClock(const Beat& before, const Beat& beat, WatchedAgent* agent);
  void JudgeChange(const Beat& before, const Beat& beat, WatchedAgent* agent);
  void JudgeLinks(const Beat* before, const Beat& beat, WatchedAgent* agent);
  void JudgeStop(const Beat& beat, WatchedAgent* agent);
  void JudgeGaps(const Beat& before, const Beat& beat, WatchedAgent* agent);

  void JudgeSilence(WallTime now, const AgentIngestStats* known, WatchedAgent* agent);
  void JudgeAbsence(WallTime now, WatchedAgent* agent);
  void EndSilence(const DecodedFrame& frame, WatchedAgent* agent);
  void Raise(Notice notice, WatchedAgent* agent);
  void Forget();

  const IntegrityThresholds thresholds_;
  Sink sink_;
  std::unordered_map<Uuid, WatchedAgent> agents_;
  WallTime watching_since_, last_tick_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_INTEGRITY_H_
