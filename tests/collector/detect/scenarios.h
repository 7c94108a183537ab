// SPDX-License-Identifier: Apache-2.0
// Behaviours that each rule must flag, and its nearest neighbours that it must not. The numbers
// stand just beyond and just before the thresholds.
#ifndef CULPRIT_TESTS_COLLECTOR_DETECT_SCENARIOS_H_
#define CULPRIT_TESTS_COLLECTOR_DETECT_SCENARIOS_H_

#include <functional>
#include <string>
#include <vector>

#include "tests/collector/detect/detect_fixture.h"

namespace culprit::testing {

struct Scenario {
  std::string name;
  std::string rule;  // the only one that may be found; empty = none
  std::function<void(HostScript&)> play;
};

const std::vector<Scenario>& Scenarios();
// Those of them in scenarios_attempts.cc.
std::vector<Scenario> Attempts();

inline std::string Net(int i) { return "198.51.100." + std::to_string(i % 250 + 1); }

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_DETECT_SCENARIOS_H_
