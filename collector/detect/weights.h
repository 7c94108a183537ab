// SPDX-License-Identifier: Apache-2.0
// Weights: what speaks for or against an alarm beside the behaviour itself. Never a finding alone.
// Stage: detect. Pure. Thread: any. Each that applies is told with its points; what cannot be
// judged (no working hours set, a host without a baseline) says nothing.
#ifndef CULPRIT_COLLECTOR_DETECT_WEIGHTS_H_
#define CULPRIT_COLLECTOR_DETECT_WEIGHTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "collector/detect/events.h"
#include "collector/detect/group.h"
#include "collector/detect/scene.h"
#include "collector/detect/session_book.h"

namespace culprit {

struct Weights {
  std::vector<std::string> lines;  // "its executable is deleted (+2)"
  int points = 0;

  void Add(bool holds, std::string_view what, int weight);
};

struct WeighSources {
  const ProcessBook& processes;
  const SessionBook& sessions;
  const Scene& scene;
  const Uuid& agent;
};

Weights WeighAlarm(const Alarm& alarm, const Group& group, const WeighSources& sources);

// Two points are a level up, two below zero one down; never below low, never above critical.
v1::Severity Weighed(v1::Severity base, int points);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_WEIGHTS_H_
