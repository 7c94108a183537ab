// SPDX-License-Identifier: Apache-2.0
// When a host may go, and why not.
#include "collector/cli/teardown_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit::cli {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kNow = 1'800'000'000LL * 1'000'000'000, kHour = 3'600LL * 1'000'000'000;
constexpr const char* kStream = "11111111-2222-4333-8444-555555555555";

TeardownFacts Good() {
  TeardownFacts facts;
  facts.host.set_state("online");
  facts.head.set_connected(true);
  facts.head.set_stream_id(kStream);
  facts.head.set_evidence_seq(100);
  facts.head.set_bulk_seq(40);
  facts.agent = AgentPosition{kStream, 99, 40};
  facts.snapshot.emplace();
  facts.snapshot->set_id("5b0c9a1e-0000-4000-8000-000000000001");
  facts.snapshot->set_state(v1::SNAPSHOT_STATE_COMPLETE);
  facts.snapshot->set_agent_id("agent-1");
  facts.host.set_agent_id("agent-1");
  facts.now_ns = kNow;
  facts.snapshot->set_asked_ns(kNow - kHour);
  facts.snapshot->set_last_tier(2);
  facts.snapshot->set_key_known(true);
  facts.disk_snapshot = "snap-0123456789abcdef0";
  return facts;
}

struct Case {
  const char* missing;  // the check that fails
  const char* reason;
  void (*spoil)(TeardownFacts&);
};

const Case kCases[] = {
    {"agent", "silent", [](TeardownFacts& f) { f.host.set_state("silent"); }},
    {"agent", "silent", [](TeardownFacts& f) { f.head.set_connected(false); }},
    {"snapshot", "none: the agent is away",
     [](TeardownFacts& f) {
       f.snapshot.reset();
       f.snapshot_problem = "the agent is away";
     }},
    {"snapshot", "disk is full",
     [](TeardownFacts& f) {
       f.snapshot->set_state(v1::SNAPSHOT_STATE_WAITING);
       f.snapshot->set_problem("the collector's disk is full");
     }},
    {"snapshot", "edited",
     [](TeardownFacts& f) {
       f.snapshot->set_state(v1::SNAPSHOT_STATE_REFUSED);
       f.snapshot->add_defects("edited: a member");
     }},
    {"snapshot", "tiers 0 to 1 alone", [](TeardownFacts& f) { f.snapshot->set_last_tier(1); }},
    {"snapshot", "another host: web-2",
     [](TeardownFacts& f) {
       f.snapshot->set_agent_id("agent-2");
       f.snapshot->set_host("web-2");
     }},
    {"snapshot", "what has happened since",
     [](TeardownFacts& f) { f.snapshot->set_asked_ns(kNow - 25 * kHour); }},
    {"snapshot", "earlier snapshots", [](TeardownFacts& f) { f.snapshot->set_key_known(false); }},
    {"evidence", "5 frames of evidence", [](TeardownFacts& f) { f.agent->evidence_seq = 105; }},
    {"evidence", "2 of bulk", [](TeardownFacts& f) { f.agent->bulk_seq = 42; }},
    {"evidence", "another stream", [](TeardownFacts& f) { f.head.set_stream_id("other"); }},
    {"evidence", "has not connected since", [](TeardownFacts& f) { f.head.clear_stream_id(); }},
    {"evidence", "not known", [](TeardownFacts& f) { f.agent.reset(); }},
    {"sequence", "1 gaps", [](TeardownFacts& f) { f.host.set_gaps(1); }},
    {"sequence", "1 forks", [](TeardownFacts& f) { f.host.set_forks(1); }},
    {"sequence", "3 frames lost", [](TeardownFacts& f) { f.host.set_lost_frames(3); }},
    {"collector", "disk full",
     [](TeardownFacts& f) { f.collector_degraded = {"journal: disk full"}; }},
    {"disk", "nobody said", [](TeardownFacts& f) { f.disk_snapshot.clear(); }},
};

std::vector<std::string> Missing(const TeardownFacts& facts) {
  std::vector<std::string> names;
  for (const TeardownCheck& check : CheckTeardown(facts))
    if (!check.good) names.push_back(check.name);
  return names;
}

TEST(TeardownChecks, AllThatMustHoldHolds) {
  TeardownFacts facts = Good();
  EXPECT_TRUE(Missing(facts).empty());
  facts.collector_degraded = {"alerts: web: refused"};  // keeps no evidence back
  EXPECT_TRUE(Missing(facts).empty());
}

TEST(TeardownChecks, EachIncompleteCaseIsRefusedWithItsReasonAndARemedy) {
  for (const Case& c : kCases) {
    TeardownFacts facts = Good();
    c.spoil(facts);
    EXPECT_EQ(Missing(facts), std::vector<std::string>{c.missing}) << c.reason;
    for (const TeardownCheck& check : CheckTeardown(facts)) {
      if (check.good) continue;
      EXPECT_THAT(check.text, HasSubstr(c.reason));
      EXPECT_FALSE(check.remedy.empty()) << c.reason;
    }
  }
}

TEST(TeardownChecks, WhatTheOperatorAnswersForIsTakenAndRepeated) {
  TeardownFacts facts = Good();
  facts.host.set_gaps(1);
  facts.accepted_gaps = "a power cut in March";
  facts.disk_snapshot.clear();
  facts.disk_not_preserved = true;
  EXPECT_TRUE(Missing(facts).empty());
  const std::string text = RenderTeardown(CheckTeardown(facts), {});
  EXPECT_THAT(text, HasSubstr("accepted: a power cut in March"));
  EXPECT_THAT(text, HasSubstr("not preserved, as the operator decided"));
}

TeardownCheck Scaling(const TeardownFacts& facts) {
  for (TeardownCheck& check : CheckTeardown(facts))
    if (check.name == "scaling") return check;
  return {};
}

TEST(TeardownChecks, AGroupThatStartsTheImageAgainIsAWarningAndRefusesNothing) {
  TeardownFacts facts = Good();
  EXPECT_FALSE(Scaling(facts).warning);  // not on EC2
  facts.host.set_instance_id("i-1");
  EXPECT_TRUE(Scaling(facts).warning);
  EXPECT_THAT(Scaling(facts).text, HasSubstr("not known"));
  EXPECT_THAT(Scaling(facts).remedy, HasSubstr("--instance-ids i-1"));
  facts.cloud.told = facts.cloud.tags_readable = true;
  facts.cloud.image_id = "ami-1";
  EXPECT_FALSE(Scaling(facts).warning);
  facts.cloud.group = "web";
  EXPECT_TRUE(Missing(facts).empty());
  const std::string text = RenderTeardown(CheckTeardown(facts), {});
  EXPECT_THAT(text, HasSubstr("WARNING scaling   the Auto Scaling group web starts ami-1 again"));
  EXPECT_THAT(text, HasSubstr("suspend-processes --auto-scaling-group-name web"));
}

TEST(TeardownChecks, TheAgentsPositionIsReadOfItsStatusAndOfNothingElse) {
  const auto good = ParseAgentPosition(
      R"({"spool":{"stream_id":"s","lanes":{"evidence":{"newest_seq":7},"bulk":{"newest_seq":3}}}})");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->stream_id, "s");
  EXPECT_EQ(good->evidence_seq, 7U);
  EXPECT_EQ(good->bulk_seq, 3U);
  for (
      const char* bad :
      {"", "[]", "{", "{}", R"({"spool":{}})", R"({"spool":{"stream_id":1,"lanes":{}}})",
       R"({"spool":{"stream_id":"s","lanes":{"evidence":{"newest_seq":-7},"bulk":{"newest_seq":3}}}})",
       R"({"spool":{"stream_id":"s","lanes":[]}})"})
    EXPECT_FALSE(ParseAgentPosition(bad)) << bad;
  EXPECT_FALSE(ParseAgentPosition(std::string(100'000, '[')));
}

TEST(TeardownChecks, WhatAHostSaysReachesATerminalEscaped) {
  TeardownFacts facts = Good();
  facts.snapshot->set_state(v1::SNAPSHOT_STATE_REFUSED);
  facts.snapshot->add_defects("\x1b[31m");
  EXPECT_EQ(RenderTeardown(CheckTeardown(facts), {}).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace culprit::cli
