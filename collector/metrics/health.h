// SPDX-License-Identifier: Apache-2.0
// Whether the collector does what it is there for, as /healthz says it: one line for each part,
// with the reason and what to do. Stage: metrics. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_METRICS_HEALTH_H_
#define CULPRIT_COLLECTOR_METRICS_HEALTH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/metrics/collector_facts.h"

namespace culprit {

// kFailing: evidence is refused, or what is taken is not seen or told. kWarning: it will be so, or
// somebody else's part fails.
enum class HealthLevel : std::uint8_t { kOk, kWarning, kFailing };

struct HealthCheck {
  std::string_view
      name;  // "journal", "disk", "index", "detect", "alerts", "agents", "config", "certificate"
  HealthLevel level = HealthLevel::kOk;
  std::string reason;  // empty = fine
};

struct Health {
  HealthLevel level = HealthLevel::kOk;  // the worst
  std::vector<HealthCheck> checks;
};

Health JudgeHealth(const CollectorFacts& facts);
// {"status":"ok","checks":[{"name":"journal","status":"ok","reason":""},…]} and a newline.
std::string HealthJson(const Health& health);
// Silent and connected, or away; of those that were heard since the start.
std::size_t SilentAgents(const CollectorFacts& facts);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_METRICS_HEALTH_H_
