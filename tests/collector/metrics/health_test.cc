// SPDX-License-Identifier: Apache-2.0
#include "collector/metrics/health.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/collector/metrics/facts.h"

namespace culprit {
namespace {

struct Case {
  const char* what;
  std::function<void(CollectorFacts*)> change;
  const char* check;
  HealthLevel level;
};

const Case kCases[] = {
    {"the journal refuses", [](auto* f) { f->journal.failed = "No space left"; }, "journal",
     HealthLevel::kFailing},
    {"the disk is low", [](auto* f) { f->disk_free_bytes = 150; }, "disk", HealthLevel::kWarning},
    {"the disk is full", [](auto* f) { f->disk_free_bytes = 99; }, "disk", HealthLevel::kFailing},
    {"the index is behind", [](auto* f) { f->index.lag = 5'001; }, "index", HealthLevel::kWarning},
    {"the index is far behind", [](auto* f) { f->index.lag = 500'001; }, "index",
     HealthLevel::kFailing},
    {"the index fails", [](auto* f) { f->index.failing = "disk I/O error"; }, "index",
     HealthLevel::kFailing},
    {"no findings are made", [](auto* f) { f->detect.failing = "disk I/O error"; }, "detect",
     HealthLevel::kFailing},
    {"no alert can be queued", [](auto* f) { f->alerts_failing = "disk full"; }, "alerts",
     HealthLevel::kFailing},
    {"a target does not take alerts",
     [](auto* f) {
       f->alerts.push_back({"pager", 1, 0, 0, 3, "connection refused"});
     },
     "alerts", HealthLevel::kWarning},
    {"an agent is silent",
     [](auto* f) { f->ingest.agents[0].last_received = f->now - std::chrono::seconds(91); },
     "agents", HealthLevel::kWarning},
    {"a configuration was refused", [](auto* f) { f->config_refused = "c.toml:1: x"; }, "config",
     HealthLevel::kWarning},
    {"the certificate ends soon",
     [](auto* f) { f->certificate_not_after = f->now + std::chrono::hours(24); }, "certificate",
     HealthLevel::kWarning},
    {"the certificate has ended",
     [](auto* f) { f->certificate_not_after = f->now - std::chrono::hours(1); }, "certificate",
     HealthLevel::kFailing},
};

TEST(HealthTest, ACollectorThatWorksIsFine) {
  const Health health = JudgeHealth(HealthyFacts());
  EXPECT_EQ(health.level, HealthLevel::kOk);
  for (const HealthCheck& check : health.checks) EXPECT_EQ(check.reason, "") << check.name;
}

TEST(HealthTest, EachThingThatGoesWrongIsItsOwnCheckWithAReason) {
  for (const Case& c : kCases) {
    CollectorFacts facts = HealthyFacts();
    c.change(&facts);
    const Health health = JudgeHealth(facts);
    EXPECT_EQ(health.level, c.level) << c.what;
    for (const HealthCheck& check : health.checks) {
      const bool own = check.name == c.check;
      EXPECT_EQ(check.level, own ? c.level : HealthLevel::kOk) << c.what << ": " << check.name;
      EXPECT_EQ(check.reason.empty(), !own) << c.what << ": " << check.name;
    }
  }
}

TEST(HealthTest, TheWorstDecides) {
  CollectorFacts facts = HealthyFacts();
  facts.index.lag = 5'001;
  facts.journal.failed = "No space left";
  EXPECT_EQ(JudgeHealth(facts).level, HealthLevel::kFailing);
}

TEST(HealthTest, JsonHoldsReasonsOfAnyBytes) {
  CollectorFacts facts = HealthyFacts();
  facts.journal.failed = "\"quoted\"\n\xff";
  const auto json = nlohmann::json::parse(HealthJson(JudgeHealth(facts)));
  EXPECT_EQ(json["status"], "failing");
  EXPECT_EQ(json["checks"][0]["name"], "journal");
  EXPECT_EQ(json["checks"][0]["status"], "failing");
}

}  // namespace
}  // namespace culprit
