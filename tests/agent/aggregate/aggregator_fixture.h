// SPDX-License-Identifier: Apache-2.0
// Drives an Aggregator as the agent does, and keeps the rows that it gives out.
#ifndef CULPRIT_TESTS_AGENT_AGGREGATE_AGGREGATOR_FIXTURE_H_
#define CULPRIT_TESTS_AGENT_AGGREGATE_AGGREGATOR_FIXTURE_H_

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "agent/aggregate/aggregator.h"
#include "tests/support/event_builder.h"

namespace culprit::testing {

using namespace std::chrono_literals;  // NOLINT(google-global-names-in-headers): tests read better

class AggregatorTest : public ::testing::Test {
 protected:
  static AggregateLimits Limits() { return {}; }

  void Observe(const FlowEvent& event, bool is_agent = false) {
    const auto id = [](const ProcessKey& key) {
      return key.tgid == Tgid{} ? ProcessId{} : IdOf(key);
    };
    aggregator_.OnFlow({event, id(event.owner), id(event.creator), is_agent});
  }
  void Observe(const Flow& flow) { Observe(flow.Build()); }
  // Steps of 100 ms, as the agent makes them; rows taken are kept with their lane.
  void RunUntil(std::chrono::nanoseconds t) {
    for (; now_ <= t; now_ += 100ms) {
      aggregator_.Tick(At(now_));
      Take();
    }
    Take();
  }
  void Take() {
    for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
      while (aggregator_.pending(lane) > 0) {
        RecordBatch batch = aggregator_.TakeBatch(lane);
        for (FlowRow& row : batch.flows) rows_.emplace_back(lane, row);
        counters_.insert(counters_.end(), batch.counters.begin(), batch.counters.end());
        losses_.insert(losses_.end(), batch.losses.begin(), batch.losses.end());
      }
    }
  }
  std::vector<std::pair<Lane, FlowRow>> Rows() {
    Take();
    return std::exchange(rows_, {});
  }

  AggregateLimits limits_ = Limits();
  Aggregator aggregator_{BootId(), RunId(), limits_};
  std::chrono::nanoseconds now_ = 0ns;
  std::vector<std::pair<Lane, FlowRow>> rows_;
  std::vector<CounterFacts> counters_;
  std::vector<LossFacts> losses_;
};

inline Flow Established(std::chrono::nanoseconds t) {
  return Flow().Reason(FlowReason::kEstablished).Established(t).When(t);
}
inline Flow Snapshot(std::chrono::nanoseconds t) {
  return Flow().Reason(FlowReason::kSnapshot).Established(1s).TcpState(1).When(t);
}
inline Flow End(std::chrono::nanoseconds t) {
  return Flow().Reason(FlowReason::kEnd).Established(1s).TcpState(7).When(t);
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_AGENT_AGGREGATE_AGGREGATOR_FIXTURE_H_
