// SPDX-License-Identifier: Apache-2.0
#include "collector/metrics/collector_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/collector/metrics/facts.h"

namespace culprit {
namespace {

using testing::HasSubstr;

std::size_t Series(const std::string& text) {
  std::size_t series = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    series += text[at] == '#' ? 0U : 1U;
  return series;
}

TEST(CollectorMetricsTest, CountsAreThoseOfTheStages) {
  CollectorFacts facts = HealthyFacts();
  facts.ingest.frames_accepted = 12;
  facts.ingest.refusals["hash"] = 3;
  facts.index.lag = 7;
  facts.alerts[0].queued = 4;
  const std::string text = CollectorMetrics(facts);
  for (const char* line :
       {"culprit_collector_frames_total{result=\"accepted\"} 12\n",
        "culprit_collector_refusals_total{reason=\"hash\"} 3\n",
        "culprit_collector_index_lag_frames 7\n", "culprit_collector_journal_writable 1\n",
        "culprit_collector_alerts_queued{target=\"log\"} 4\n", "culprit_collector_healthy 1\n",
        "culprit_collector_agents 1\n", "culprit_collector_agents_silent 0\n",
        "process_start_time_seconds 1699996400\n",
        "culprit_collector_check_status{check=\"disk\"} 0\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(CollectorMetricsTest, NoNumberOfAgentsAndNoReasonThatTheyMakeUpAddsSeries) {
  const std::size_t before = Series(CollectorMetrics(HealthyFacts()));
  CollectorFacts facts = HealthyFacts();
  for (int i = 0; i < 1000; ++i) {
    facts.ingest.agents.push_back(facts.ingest.agents.front());
    facts.ingest.refusals["reason " + std::to_string(i)] = 1;
  }
  EXPECT_LE(Series(CollectorMetrics(facts)), before + 64);
}

TEST(CollectorMetricsTest, OwnProcessIsReadFromTheKernel) {
  const CollectorFacts::Process process = ReadOwnProcess();
  EXPECT_GT(process.resident_bytes, 1U << 20);
  EXPECT_GT(process.open_fds, 2U);
}

}  // namespace
}  // namespace culprit
