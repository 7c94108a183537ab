// SPDX-License-Identifier: Apache-2.0
// Each rule fires where it should, and not beside it; and no way of cutting, repeating or losing
// the middle of the evidence changes what is found.
#include <gtest/gtest.h>

#include "tests/collector/detect/scenarios.h"

namespace culprit::testing {
namespace {

class RuleTest : public ::testing::TestWithParam<Scenario> {
 protected:
  std::vector<std::string> Expected() const {
    return GetParam().rule.empty() ? std::vector<std::string>{}
                                   : std::vector<std::string>{GetParam().rule};
  }
  std::vector<DecodedFrame> Play() {
    GetParam().play(script_);
    return script_.Frames();
  }
  HostScript script_;
};

TEST_P(RuleTest, FindsThisAndNothingElse) { EXPECT_EQ(RulesOf(Detected(Play())), Expected()); }

TEST_P(RuleTest, FindsTheSameWhereEveryFrameComesTwice) {
  std::vector<DecodedFrame> twice;
  for (const DecodedFrame& frame : Play()) twice.insert(twice.end(), 2, frame);
  EXPECT_EQ(RulesOf(Detected(twice)), Expected());
}

TEST_P(RuleTest, FindsTheSameWhereAllFramesComeAgainAtTheEnd) {
  std::vector<DecodedFrame> again = Play();
  const std::vector<DecodedFrame> once = again;
  again.insert(again.end(), once.begin(), once.end());
  EXPECT_EQ(RulesOf(Detected(again)), Expected());
}

TEST_P(RuleTest, FindsTheSameWhereEveryRecordHasAFrameOfItsOwn) {
  std::vector<DecodedFrame> single;
  for (const DecodedFrame& frame : Play()) {
    DecodedFrame bare = frame;
    bare.flows.clear(), bare.processes.clear(), bare.counters.clear();
    bare.names.clear(), bare.dns.clear();
    const auto one = [&](auto member, const auto& record) {
      single.push_back(bare);
      (single.back().*member).push_back(record);
    };
    for (const auto& record : frame.processes) one(&DecodedFrame::processes, record);
    for (const auto& record : frame.dns) one(&DecodedFrame::dns, record);
    for (const auto& record : frame.flows) one(&DecodedFrame::flows, record);
    for (const auto& record : frame.names) one(&DecodedFrame::names, record);
    for (const auto& record : frame.counters) one(&DecodedFrame::counters, record);
  }
  EXPECT_EQ(RulesOf(Detected(single)), Expected());
}

// A detector that starts anew reads frames again: what it finds has the ids of what is there.
TEST_P(RuleTest, AnotherReaderGivesTheSameIds) {
  const std::vector<DecodedFrame> frames = Play();
  const Findings first = Detected(frames), second = Detected(frames);
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [id, finding] : first) EXPECT_EQ(second.count(id), 1U);
}

// Rows of flows and counters may overtake each other; names come behind the flows that they are of.
TEST_P(RuleTest, FindsTheSameWhereNeighboursChangePlaces) {
  std::vector<DecodedFrame> frames = Play();
  const auto moves = [](const DecodedFrame& f) { return f.names.empty() && f.processes.empty(); };
  for (std::size_t i = 2; i + 1 < frames.size(); i += 2) {
    if (!moves(frames[i]) || !moves(frames[i + 1])) continue;
    std::swap(frames[i], frames[i + 1]);
    std::swap(frames[i].lsn, frames[i + 1].lsn);
  }
  EXPECT_EQ(RulesOf(Detected(frames)), Expected());
}

// Counters that begin anew, or have wrapped, are no traffic.
TEST_P(RuleTest, FindsTheSameWhereCountersStepBackAtTheEnd) {
  std::vector<DecodedFrame> frames = Play();
  if (frames.back().records() == 0) frames.pop_back();
  for (int round = 0; round < 3; ++round) {
    DecodedFrame again = frames.back();
    again.lsn += 1;
    again.names.clear(), again.dns.clear();
    for (FlowObservation& flow : again.flows) {
      flow.cumulative = {.tx_wire_bytes = 1, .rx_wire_bytes = 1};
      flow.emitted_boot_ns += kSecond;
    }
    for (v1::ProcessCounters& counters : again.counters) {
      const auto process = counters.process_id(), at = counters.at_boot_ns();
      counters.Clear();
      counters.set_process_id(process);
      counters.set_at_boot_ns(at + kSecond);
    }
    frames.push_back(again);
  }
  EXPECT_EQ(RulesOf(Detected(frames)), Expected());
}

// A restart at any place: the findings of before, the baseline, and the evidence once more.
TEST_P(RuleTest, FindsTheSameOverARestartInTheMiddle) {
  const std::vector<DecodedFrame> frames = Play();
  const TestPlaces places;
  for (std::size_t quarter = 1; quarter < 4; ++quarter) {
    const std::size_t cut = frames.size() * quarter / 4;
    Findings found;
    std::vector<SeenRow> seen;
    const auto sink = [&](const v1::Finding& finding) { found[finding.id()] = finding; };
    {
      DetectEngine before({}, sink, {&places, {}});
      for (std::size_t i = 0; i < cut; ++i) before.Take(frames[i]);
      seen = before.TakeSeen();
    }
    std::vector<v1::Finding> stored;
    for (const auto& [id, finding] : found) stored.push_back(finding);
    DetectEngine after({}, sink, {&places, {}});
    after.Resume(seen, stored);
    for (const DecodedFrame& frame : frames) after.Take(frame);
    EXPECT_EQ(RulesOf(found), Expected()) << "after " << cut << " of " << frames.size();
    const Findings whole = Detected(frames);
    for (const auto& [id, finding] : whole) {
      ASSERT_EQ(found.count(id), 1U);
      EXPECT_EQ(found[id].last_ns(), finding.last_ns());
      EXPECT_EQ(found[id].cost().micro_usd(), finding.cost().micro_usd());
    }
  }
}

TEST_P(RuleTest, EveryFindingSaysWhatWhoWhereAndWhen) {
  for (const auto& [id, finding] : Detected(Play())) {
    EXPECT_EQ(id.size(), 16U);
    EXPECT_FALSE(finding.reason().empty());
    EXPECT_FALSE(finding.exe().empty());
    EXPECT_GT(finding.measures_size(), 0);
    EXPECT_GT(finding.attack_ids_size(), 0);
    EXPECT_GT(finding.trigger_lsn(), 0U);
    EXPECT_LE(finding.first_ns(), finding.trigger_ns());
    EXPECT_LE(finding.trigger_ns(), finding.last_ns());
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, RuleTest, ::testing::ValuesIn(Scenarios()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace culprit::testing
