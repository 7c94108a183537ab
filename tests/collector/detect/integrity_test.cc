// SPDX-License-Identifier: Apache-2.0
// What is done to an agent, and what honest hosts do, against the findings that come of it.
#include "collector/detect/integrity.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "collector/detect/rules.h"

namespace culprit::testing {
namespace {

using std::chrono::seconds;

constexpr auto kBase = WallTime(seconds(1'770'000'000));

Uuid Id(std::uint8_t n) {
  Uuid id;
  id.bytes.fill(n);
  return id;
}

// One agent's frames, a heartbeat every 10 s, on a clock of the test's.
class AgentScript {
 public:
  // What may be changed between heartbeats.
  seconds now{0};      // the collector's
  seconds boot{1000};  // the host's clock since boot, and the one that leaves sleep out
  seconds mono{1000};
  seconds wall_off{0};  // the host's wall clock, ahead of the collector's
  Uuid stream = Id(1), run = Id(11), boot_id = Id(21);
  std::string peer = "ipv4:192.0.2.7:4711", version = "1.0";
  std::string exe = std::string(32, 'e'), config = std::string(32, 'c');
  std::string stop_reason, stream_reason;
  SequenceState state = SequenceState::kInOrder;
  std::uint64_t missing_from = 0, missing_to = 0;
  std::vector<v1::Loss> losses;
  std::uint32_t links = 3, spool_missing = 0;
  std::vector<std::string> hooks;  // "NAME!": not active
  std::string source = "bpf";
  std::vector<AgentIngestStats> ingest;

  void Pass(seconds span) {
    now += span;
    boot += span;
    mono += span;
  }
  void Beat() {
    DecodedFrame frame = Frame();
    frame.has_heartbeat = true;
    v1::Heartbeat& beat = frame.heartbeat;
    beat.set_at_boot_ns(ToNs(frame.clock.boot));
    beat.set_at_mono_ns(static_cast<std::uint64_t>(std::chrono::nanoseconds(mono).count()));
    beat.set_interval_ms(10'000);
    for (std::uint32_t i = 0; i < links; ++i)
      beat.add_link_ids(100 + i), beat.add_program_ids(200 + i);
    beat.set_links_made(3);
    if (source != "replay") beat.set_exe_sha256(exe);
    beat.set_config_sha256(config);
    beat.set_spool_files_missing(spool_missing);
    beat.set_stop_reason(stop_reason);
    Give(frame);
  }
  void Tell() { Give(Frame()); }
  void Tick() { detector_.Tick(kBase + now, ingest); }
  // `count` as the agent counts: since its run began.
  void Shed(int count) {
    v1::Loss loss;
    loss.set_cause(v1::LOSS_CAUSE_PROCESS_BUDGET);
    loss.set_count(static_cast<std::uint64_t>(count));
    losses = {loss};
    Tell();
  }
  // Heartbeats as they should be, each with its ticks.
  void Beats(int n) {
    for (int i = 0; i < n; ++i) {
      Pass(seconds(10));
      Beat();
      Tick();
    }
  }
  void Silent(seconds span) {
    for (seconds t{0}; t < span; t += seconds(1)) {
      Pass(seconds(1));
      Tick();
    }
  }
  void Flow(const std::string& remote) {
    DecodedFrame frame = Frame();
    FlowObservation seen;
    seen.facts.flow = FlowId{7};
    seen.facts.remote = *IpAddress::Parse(remote);
    seen.facts.remote_port = 443;
    seen.facts.direction = v1::FLOW_DIRECTION_OUTBOUND;
    frame.flows.push_back(seen);
    Give(frame);
  }
  const std::map<std::string, v1::Finding>& findings() const { return findings_; }
  std::map<std::string, v1::Severity> ByRule() const {
    std::map<std::string, v1::Severity> rules;
    for (const auto& [id, finding] : findings_) rules[finding.rule()] = finding.severity();
    return rules;
  }

 private:
  DecodedFrame Frame() {
    DecodedFrame frame;
    frame.lsn = ++lsn_;
    frame.stamp.received = kBase + now;
    frame.stamp.agent_id = Id(99);
    frame.stamp.agent_name = "agent";
    frame.stamp.peer = peer;
    frame.stamp.sequence = std::exchange(state, SequenceState::kInOrder);
    frame.stamp.stream_reason = std::exchange(stream_reason, "");
    frame.stamp.missing_from_seq = std::exchange(missing_from, 0);
    frame.stamp.missing_to_seq = std::exchange(missing_to, 0);
    frame.boot_id = boot_id;
    frame.run_id = run;
    frame.clock = {
        BootTimeFromNs(static_cast<std::uint64_t>(std::chrono::nanoseconds(boot).count())),
        kBase + now + wall_off, ClockSync::kSynced};
    frame.losses = std::exchange(losses, {});
    if (frame.lsn == 1 || !hooks.empty() || source == "replay") {
      frame.has_host = frame.has_fidelity = true;
      frame.fidelity.set_source(source);
      for (const std::string& name : hooks) {
        auto* hook = frame.fidelity.add_hooks();
        hook->set_name(name.substr(0, name.find('!')));
        hook->set_active(!name.ends_with('!'));
      }
    }
    frame.has_host = true;
    frame.host.set_hostname("web-1");
    frame.host.set_agent_version(version);
    return frame;
  }
  void Give(const DecodedFrame& frame) {
    FrameHeader header;
    header.stream_id = stream;
    header.lane = Lane::kEvidence;
    header.seq = frame.lsn;
    detector_.Take(header, frame);
  }

  std::map<std::string, v1::Finding> findings_;  // newest of each id
  IntegrityDetector detector_{{}, [this](const v1::Finding& f) { findings_[f.id()] = f; }};
  Lsn lsn_ = 0;
};

struct Case {
  std::string name;
  std::function<void(AgentScript&)> play;
  std::map<std::string, v1::Severity> expected;
};

void NewStream(AgentScript& a, std::uint8_t id, const std::string& reason) {
  a.stream = Id(id);
  a.stream_reason = reason;
  a.state = SequenceState::kFirst;
}

std::vector<Case> QuietLife() {
  using S = AgentScript;
  return {
      {"Quiet", [](S& a) { a.Beats(60); }, {}},
      {"LateHeartbeats", [](S& a) { a.Silent(seconds(25)), a.Beat(), a.Tick(); }, {}},
      {"ShutDownAndStayDown",
       [](S& a) { a.stop_reason = "shutdown", a.Beat(), a.Silent(seconds(4000)); },
       {{"agent-stopped", v1::SEVERITY_LOW}}},
      {"RestartedAtOnce",
       [](S& a) {
         a.stop_reason = "signal", a.Beat(), a.Silent(seconds(5));
         a.stop_reason = "", a.run = Id(12), a.Beats(20);
       },
       {{"agent-stopped", v1::SEVERITY_LOW}}},
      {"Upgraded",
       [](S& a) {
         a.stop_reason = "signal", a.Beat(), a.Silent(seconds(5));
         a.stop_reason = "", a.run = Id(12), a.version = "1.1", a.exe = std::string(32, 'f');
         a.Beats(3);
       },
       {{"agent-stopped", v1::SEVERITY_LOW}, {"agent-changed", v1::SEVERITY_LOW}}},
      {"Suspended",
       [](S& a) {
         a.now += seconds(20), a.boot += seconds(3600), a.mono += seconds(20),
             a.wall_off = seconds(3580);
         a.Beat(), a.Tick();
         a.now += seconds(3580), a.wall_off = seconds(0);
       },
       {}},
  };
}

std::vector<Case> HonestTrouble() {
  using S = AgentScript;
  return {
      {"LossIsDeclaredLater",
       [](S& a) {
         a.state = SequenceState::kGap, a.missing_from = 5, a.missing_to = 9, a.Beats(3);
         v1::Loss loss;
         loss.set_cause(v1::LOSS_CAUSE_SPOOL_CAP), loss.set_lane_plus_one(1);
         loss.set_first_seq(3), loss.set_last_seq(9);
         a.losses = {loss}, a.Beats(20);
       },
       {}},
      {"HeartbeatsThatDidNotFitOnTheDisk",
       [](S& a) {
         a.Pass(seconds(300));
         v1::Loss loss;
         loss.set_cause(v1::LOSS_CAUSE_SPOOL_WRITE);
         a.losses = {loss}, a.Beat();
       },
       {}},
      {"AFewProcessesTooManyNowAndThen",
       [](S& a) {
         for (int n = 1; n <= 10; ++n) a.Shed(n * 2'400), a.Shed(n * 2'400), a.Beats(4);
       },
       {}},
      {"ClockIsPutRightAfterBoot",
       [](S& a) { a.wall_off = seconds(-7200), a.Beat(), a.wall_off = seconds(0), a.Beats(3); },
       // The script began with the right time: the first of the two jumps is none of a boot.
       {{"clock-jump", v1::SEVERITY_HIGH}}},
      {"TheCollectorItselfSlept",
       [](S& a) { a.Pass(seconds(600)), a.Tick(), a.Silent(seconds(20)); },
       {}},
      {"AStandInThatNothingHasToStandInFor",
       [](S& a) {
         a.hooks = {"a", "b"}, a.Beats(1), a.hooks = {"a"}, a.Beats(1);
       },
       {}},
      {"AHookThatCouldNotBeAttachedAtTheStart",
       [](S& a) {
         a.hooks = {"a", "b"}, a.Tell(), a.hooks = {"a", "b!"}, a.Beats(2);
       },
       {}},
      {"PowerCut",
       [](S& a) {
         a.Pass(seconds(60));
         NewStream(a, 2, "tail_lost"), a.state = SequenceState::kRollback;
         a.run = Id(12), a.boot_id = Id(22), a.boot = a.mono = seconds(30), a.Beats(3);
       },
       {{"evidence-rollback", v1::SEVERITY_LOW}, {"agent-killed", v1::SEVERITY_MEDIUM}}},
      {"AReplayUnderTheSameIdentity",
       [](S& a) {
         NewStream(a, 2, "new"), a.source = "replay", a.run = Id(12), a.boot = seconds(5), a.Beat();
         a.Silent(seconds(200));
       },
       {{"agent-silent", v1::SEVERITY_HIGH}}},
  };
}

std::vector<Case> AttacksOnTheAgent() {
  using S = AgentScript;
  return {
      {"KilledAndNotBack",
       [](S& a) { a.Silent(seconds(100)); },
       {{"agent-silent", v1::SEVERITY_HIGH}}},
      {"SilentForHalfAMinute",
       [](S& a) { a.Silent(seconds(40)); },
       {{"agent-silent", v1::SEVERITY_LOW}}},
      {"KilledAndBack",
       [](S& a) { a.Pass(seconds(5)), a.run = Id(12), a.Beats(2); },
       {{"agent-killed", v1::SEVERITY_HIGH}}},
      {"ToldToStopForGood",
       [](S& a) { a.stop_reason = "signal", a.Beat(), a.Silent(seconds(120)); },
       {{"agent-stopped", v1::SEVERITY_MEDIUM}}},
      {"StoppedBySignalAndBack",
       [](S& a) { a.Pass(seconds(45)), a.Beat(); },
       {{"agent-paused", v1::SEVERITY_HIGH}}},
      {"ALinkWasDetached",
       [](S& a) { a.links = 2, a.Beats(5); },
       {{"hooks-detached", v1::SEVERITY_CRITICAL}}},
      {"AHookIsMissing",
       [](S& a) {
         a.hooks = {"a", "b"}, a.Beats(1), a.hooks = {"a", "b!"}, a.Beats(1);
       },
       {{"hooks-detached", v1::SEVERITY_HIGH}}},
      {"ConfigurationEdited",
       [](S& a) { a.config = std::string(32, 'd'), a.Beats(2); },
       {{"agent-changed", v1::SEVERITY_MEDIUM}}},
      {"ProgramReplaced",
       [](S& a) { a.exe = std::string(32, 'f'), a.Beats(2); },
       {{"agent-changed", v1::SEVERITY_HIGH}}},
  };
}

std::vector<Case> AttacksOnTheEvidence() {
  using S = AgentScript;
  return {
      {"AStormOfProcesses",
       [](S& a) {
         for (int n = 1; n <= 9; ++n) a.Shed(n * 600), a.Pass(seconds(1));
         a.Beats(2);
       },
       {{"evidence-shed", v1::SEVERITY_MEDIUM}}},
      {"FramesLeftOut",
       [](S& a) {
         a.state = SequenceState::kGap, a.missing_from = 5, a.missing_to = 9, a.Beats(10);
       },
       {{"evidence-gap", v1::SEVERITY_HIGH}}},
      {"APartOfTheHoleIsDeclared",
       [](S& a) {
         a.state = SequenceState::kGap, a.missing_from = 5, a.missing_to = 9;
         v1::Loss loss;
         loss.set_cause(v1::LOSS_CAUSE_SPOOL_CAP), loss.set_lane_plus_one(1);
         loss.set_first_seq(6), loss.set_last_seq(9);
         a.losses = {loss}, a.Beats(10);
       },
       {{"evidence-gap", v1::SEVERITY_HIGH}}},
      {"AFrameThatDoesNotFollow",
       [](S& a) { a.state = SequenceState::kFork, a.Beat(); },
       {{"evidence-fork", v1::SEVERITY_HIGH}}},
      {"TheKeyIsUsedElsewhere",
       [](S& a) {
         NewStream(a, 2, "new"), a.run = Id(12), a.boot_id = Id(22),
                                 a.peer = "ipv4:198.51.100.9:99", a.Beat();
         a.stream = Id(1), a.run = Id(11), a.boot_id = Id(21), a.Beats(1);
       },
       {{"spool-lost", v1::SEVERITY_HIGH}, {"evidence-fork", v1::SEVERITY_CRITICAL}}},
      {"ForksThatWereRefused",
       [](S& a) {
         AgentIngestStats stats;
         stats.agent_id = Id(99), stats.refused_forks = 2;
         a.ingest = {stats}, a.Tick();
       },
       {{"evidence-fork", v1::SEVERITY_HIGH}}},
      {"AnOlderSpoolWasPutBack",
       [](S& a) {
         NewStream(a, 2, "tail_lost"), a.state = SequenceState::kRollback, a.stop_reason = "",
                                       a.Beats(2);
       },
       {{"evidence-rollback", v1::SEVERITY_HIGH}}},
      {"TheSpoolWasRemoved",
       [](S& a) { NewStream(a, 2, "spool_lost"), a.run = Id(12), a.Beats(2); },
       {{"spool-lost", v1::SEVERITY_HIGH}, {"agent-killed", v1::SEVERITY_HIGH}}},
      {"TheSpoolWasRemovedUnderTheAgent",
       [](S& a) { a.spool_missing = 2, a.Beats(5); },
       {{"spool-lost", v1::SEVERITY_HIGH}}},
      {"ClockSetBack",
       [](S& a) { a.wall_off = seconds(-3600), a.Beats(2); },
       {{"clock-jump", v1::SEVERITY_HIGH}}},
  };
}

std::vector<Case> Cases() {
  std::vector<Case> all;
  for (const auto& group :
       {QuietLife(), HonestTrouble(), AttacksOnTheAgent(), AttacksOnTheEvidence()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

class IntegrityTest : public ::testing::TestWithParam<Case> {
 protected:
  static void Play(AgentScript& script) {
    script.Beats(5);
    script.Flow("203.0.113.5");
    GetParam().play(script);
  }
};

TEST_P(IntegrityTest, FindsThisAndNothingElse) {
  AgentScript script;
  Play(script);
  EXPECT_EQ(script.ByRule(), GetParam().expected);
  EXPECT_EQ(script.findings().size(), GetParam().expected.size());
}

TEST_P(IntegrityTest, AnotherReaderGivesTheSameIds) {
  AgentScript one, two;
  Play(one);
  Play(two);
  ASSERT_EQ(one.findings().size(), two.findings().size());
  for (const auto& [id, finding] : one.findings()) EXPECT_EQ(two.findings().count(id), 1U);
}

TEST_P(IntegrityTest, EveryFindingSaysWhatWhereAndWhen) {
  AgentScript script;
  Play(script);
  for (const auto& [id, finding] : script.findings()) {
    EXPECT_EQ(id.size(), 16U);
    EXPECT_EQ(finding.host(), "web-1");
    EXPECT_FALSE(finding.reason().empty());
    EXPECT_GT(finding.attack_ids_size(), 0) << finding.rule();
    EXPECT_STRNE(RuleOf(finding.rule()).what, "") << finding.rule();
    EXPECT_LE(finding.first_ns(), finding.last_ns());
    EXPECT_GT(finding.trigger_lsn(), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(All, IntegrityTest, ::testing::ValuesIn(Cases()),
                         [](const auto& one) { return one.param.name; });

TEST(Integrity, ASilenceShowsWhatTheHostDidLastAndEndsInTheSameFinding) {
  AgentScript script;
  script.Beats(3);
  script.Flow("203.0.113.5");
  script.Silent(seconds(100));
  ASSERT_EQ(script.findings().size(), 1U);
  const v1::Finding silent = script.findings().begin()->second;
  ASSERT_EQ(silent.targets_size(), 1);
  EXPECT_EQ(silent.targets(0).address(), "203.0.113.5");
  script.Beat();
  ASSERT_EQ(script.findings().count(silent.id()), 1U);
  EXPECT_NE(script.findings().at(silent.id()).reason().find("speaks again"), std::string::npos);
}

TEST(Integrity, WhatWasImportedFromFilesIsNotMissedAfterwards) {
  for (const char* stop : {"", "signal"}) {
    AgentScript script;
    script.peer = "import";
    script.Beats(3);
    script.stop_reason = stop;
    script.Beat();
    script.Silent(seconds(600));
    for (const auto& [rule, severity] : script.ByRule())
      EXPECT_TRUE(rule == "agent-stopped" && severity == v1::SEVERITY_LOW) << rule;
  }
}

TEST(Integrity, ConnectedAndSilentIsToldFromCutOff) {
  AgentScript script;
  AgentIngestStats stats;
  stats.agent_id = Id(99);
  stats.connected = true;
  script.ingest = {stats};
  script.Beats(3);
  script.Silent(seconds(40));
  ASSERT_EQ(script.findings().size(), 1U);
  EXPECT_NE(script.findings().begin()->second.reason().find("connection is open"),
            std::string::npos);
}

TEST(Integrity, ManyKillsWithinAnHourAreOneFinding) {
  AgentScript script;
  script.Beats(3);
  for (std::uint8_t i = 0; i < 20; ++i) {
    script.run = Id(static_cast<std::uint8_t>(100 + i));
    script.Beats(1);
  }
  EXPECT_EQ(script.findings().size(), 1U);
}

TEST(Integrity, ADeclaredBacklogIsNoGapBeforeItsEnd) {
  AgentScript script;
  script.Beats(3);
  script.state = SequenceState::kGap, script.missing_from = 5, script.missing_to = 9;
  // An hour of heartbeats within four minutes: the declaration is still to come.
  for (int i = 0; i < 360; ++i) {
    script.boot += seconds(10), script.mono += seconds(10), script.wall_off -= seconds(10);
    if (i % 2 == 0) script.now += seconds(1), script.wall_off -= seconds(1);
    script.wall_off += seconds(20);
    script.Beat();
  }
  EXPECT_EQ(script.ByRule().count("evidence-gap"), 0U);
}

}  // namespace
}  // namespace culprit::testing
