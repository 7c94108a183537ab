// SPDX-License-Identifier: Apache-2.0
// Facts of a collector with which nothing is wrong.
#ifndef CULPRIT_TESTS_COLLECTOR_METRICS_FACTS_H_
#define CULPRIT_TESTS_COLLECTOR_METRICS_FACTS_H_

#include "collector/metrics/collector_facts.h"

namespace culprit {

inline CollectorFacts HealthyFacts() {
  CollectorFacts facts;
  facts.version = "test";
  facts.now = WallTimeFromNs(1'700'000'000'000'000'000);
  facts.started = facts.config_loaded = facts.now - std::chrono::hours(1);
  facts.certificate_not_after = facts.now + std::chrono::hours(24 * 365);
  facts.disk_free_bytes = 1000;
  facts.disk_warn_bytes = 200;
  facts.disk_critical_bytes = 100;
  AgentIngestStats& agent = facts.ingest.agents.emplace_back();
  agent.name = "host-1";
  agent.last_received = facts.now - std::chrono::seconds(1);
  facts.alerts.push_back({"log", 0, 5, 0, 0, ""});
  return facts;
}

}  // namespace culprit

#endif  // CULPRIT_TESTS_COLLECTOR_METRICS_FACTS_H_
