// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/collector/detect/detect_fixture.h"

namespace culprit::testing {
namespace {

std::uint64_t Refused(HostScript& host, std::uint64_t process, int n, int from = 0) {
  for (int i = from; i < from + n; ++i) {
    host.Ended(process, "198.51.100." + std::to_string(i + 1), 22, false);
    host.Wait(0.2);
  }
  return process;
}

TEST(HostDetectorTest, CountersThatStepBackAreNoBytes) {
  HostScript host;
  const auto process = host.Process("/usr/bin/upload");
  const auto flow = host.Flow({.process = process, .remote = "203.0.113.9", .tx = 1000});
  host.Wait(1);
  host.Flow({.process = process, .remote = "203.0.113.9", .tx = 400, .flow = flow});
  host.Wait(1);
  host.Flow({.process = process, .remote = "203.0.113.9", .tx = 1100, .flow = flow});
  EXPECT_TRUE(Detected(host).empty());
}

TEST(HostDetectorTest, CountersNearTheEndOfTheirRangeAreNoFlood) {
  HostScript host;
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/tool"));
  for (int i = 0; i < 6; ++i) {
    counters.set_tx_packets(UINT64_MAX - 10 + static_cast<std::uint64_t>(i) * 4);  // wraps
    host.Counters(counters);
    host.Wait(1);
  }
  const Findings found = Detected(host);
  // The first record is of a process that has just begun: it did send that much, once.
  EXPECT_EQ(FindRule(found, "flood"), nullptr);
}

TEST(HostDetectorTest, AClockThatIsYearsAheadDoesNotStopTheNextScan) {
  HostScript host;
  const auto process = host.Process("/usr/bin/tool");
  std::vector<DecodedFrame> frames;
  Refused(host, process, 3);
  frames = host.Frames();
  for (DecodedFrame& frame : frames) {
    frame.clock.wall += std::chrono::hours(24 * 365 * 20);
    for (FlowObservation& flow : frame.flows) {
      flow.facts.start += std::chrono::hours(24 * 365 * 20);
      flow.facts.last += std::chrono::hours(24 * 365 * 20);
    }
  }
  Refused(host, process, 12, 50);
  const auto& all = host.Frames();
  frames.insert(frames.end(), all.begin() + static_cast<std::ptrdiff_t>(frames.size()), all.end());
  EXPECT_EQ(RulesOf(Detected(frames)), std::vector<std::string>{"scan"});
}

TEST(HostDetectorTest, OneEpisodeIsOneFindingThatMovesOn) {
  HostScript host;
  Refused(host, host.Process("/usr/bin/tool"), 100);
  const Findings found = Detected(host);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_GT(found.begin()->second.last_ns(), found.begin()->second.trigger_ns());
}

// Contacts and answers of a stranger: no sum of theirs may leave its range.
TEST(HostDetectorTest, CountedContactsNearTheEndOfTheirRangeStayInRange) {
  HostScript host;
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/tool"));
  counters.set_suppressed_flows(1);
  counters.set_window_addresses(50);
  for (const auto& [begun, ok] : {std::pair<std::uint64_t, std::uint64_t>{UINT64_MAX / 2 + 1, 0},
                                  {UINT64_MAX, 1},
                                  {UINT64_MAX, INT64_MAX},
                                  {UINT64_MAX, UINT64_MAX}}) {
    counters.set_first_contacts(begun);
    counters.set_first_contacts_ok(ok);
    host.Counters(counters);
    host.Wait(4);
  }
  EXPECT_EQ(RulesOf(Detected(host)), std::vector<std::string>{"scan"});
}

double MeasureOf(const v1::Finding& finding, const std::string& name) {
  for (const v1::Measure& measure : finding.measures()) {
    if (measure.name() == name) return measure.value();
  }
  return -1;
}

TEST(HostDetectorTest, ManyNamesOfOneDomainWeighByWhatTheySay) {
  const auto severity_of = [](const std::string& start) {
    HostScript host;
    const auto process = host.Process("/usr/bin/tool");
    for (int i = 100; i < 220; ++i) {
      host.Ask(process, start + std::to_string(i) + ".example.com");
      host.Wait(1);
    }
    const Findings found = Detected(host);
    return found.empty() ? v1::SEVERITY_UNSPECIFIED : found.begin()->second.base_severity();
  };
  EXPECT_EQ(severity_of("w"), v1::SEVERITY_LOW);
  EXPECT_EQ(severity_of("mzxw6ytboi2dqnjvgq3t"), v1::SEVERITY_MEDIUM);
  EXPECT_EQ(severity_of("mzxw6ytboi2dqnjvgq3tmzxw6ytboi2dqnjvgq3t"), v1::SEVERITY_HIGH);
}

TEST(HostDetectorTest, DatagramsThatNobodyAnswersWeighLessWithinTheHouse) {
  const auto severity_of = [](const std::string& remote, std::uint64_t raw) {
    HostScript host;
    v1::ProcessCounters counters;
    counters.set_process_id(host.Process("/usr/bin/telemetry"));
    FlowSpec sent{.process = counters.process_id(), .remote = remote, .protocol = IPPROTO_UDP};
    for (int i = 0; i < 6; ++i) {
      sent.tx_packets += 8000;
      sent.flow = host.Flow(sent);
      counters.set_tx_packets(sent.tx_packets);
      counters.set_raw_packets(raw * sent.tx_packets);
      host.Wait(1);
      host.Counters(counters);
    }
    const Findings found = Detected(host);
    return found.empty() ? v1::SEVERITY_UNSPECIFIED : found.begin()->second.base_severity();
  };
  EXPECT_EQ(severity_of("10.0.0.9", 0), v1::SEVERITY_MEDIUM);
  EXPECT_EQ(severity_of("10.0.0.9", 1), v1::SEVERITY_HIGH);
  EXPECT_EQ(severity_of("203.0.113.9", 0), v1::SEVERITY_HIGH);
}

// What stands behind a finding, however soon after it was first told all was over.
TEST(HostDetectorTest, AllOfAScanThatIsOverInASecondIsTold) {
  HostScript host;
  const auto process = host.Process("/usr/bin/tool");
  for (int i = 1; i <= 200; ++i) {
    host.Ended(process, "198.51.100." + std::to_string(i), 22, false);
    host.Wait(0.005);
  }
  host.Wait(10);
  host.Host("ami");  // a sign of life
  const Findings found = Detected(host);
  ASSERT_EQ(RulesOf(found), std::vector<std::string>{"scan"});
  EXPECT_EQ(MeasureOf(found.begin()->second, "addresses"), 200);
}

TEST(HostDetectorTest, AllOfWhatASshdRelayedInASecondIsTold) {
  HostScript host;
  const auto sshd = host.Process("/usr/sbin/sshd", host.Process("/sbin/init", 0, 1));
  const auto login = host.Process("/usr/sbin/sshd", sshd);
  for (int i = 1; i <= 9; ++i) {
    host.Flow({.process = login,
               .remote = "198.51.100." + std::to_string(i),
               .tx = 1'000'000,
               .rx = 9'000'000,
               .rx_packets = 10});
    host.Wait(0.1);
  }
  // By what another process does: no frame of its own is needed.
  host.Wait(10);
  host.Ended(host.Process("/usr/bin/other"), "198.51.100.77", 443, true);
  const Findings found = Detected(host);
  ASSERT_EQ(RulesOf(found), std::vector<std::string>{"ssh-relay"});
  EXPECT_EQ(MeasureOf(found.begin()->second, "destinations within ten minutes"), 9);
}

// It is told each ten seconds at most while it goes on, and once more when it is over.
TEST(HostDetectorTest, ALongScanIsToldNoMoreOftenForBeingToldWhole) {
  HostScript host;
  Refused(host, host.Process("/usr/bin/tool"), 200);
  int told = 0;
  const TestPlaces places;
  const DetectThresholds thresholds;
  DetectEngine engine(thresholds, [&](const v1::Finding&) { ++told; }, {&places, {}});
  for (const DecodedFrame& frame : host.Frames()) engine.Take(frame);
  EXPECT_LE(told, 10);  // of forty seconds
}

TEST(HostDetectorTest, AnHourOfSilenceBeginsAnotherEpisode) {
  HostScript host;
  const auto process = host.Process("/usr/bin/tool");
  Refused(host, process, 20);
  host.Wait(2 * 3600);
  Refused(host, process, 20, 100);
  EXPECT_EQ(RulesOf(Detected(host)), (std::vector<std::string>{"scan", "scan"}));
}

TEST(HostDetectorTest, AProcessForEachConnectionIsStillOneScanner) {
  HostScript host;
  const auto shell = host.Process("/bin/sh", host.Process("/sbin/init", 0, 1));
  for (int i = 0; i < 12; ++i) Refused(host, host.Process("/usr/bin/nc", shell), 1, i);
  EXPECT_EQ(RulesOf(Detected(host)), std::vector<std::string>{"scan"});
}

TEST(HostDetectorTest, TwoProgramsThatFailALittleAreNoScanner) {
  HostScript host;
  const auto init = host.Process("/sbin/init", 0, 1);
  Refused(host, host.Process("/usr/bin/a", init), 6);
  Refused(host, host.Process("/usr/bin/b", init), 6, 20);
  EXPECT_TRUE(Detected(host).empty());
}

TEST(HostDetectorTest, ADeletedExecutableWeighsMore) {
  HostScript host;
  const auto process = host.Process("/tmp/.x/tool (deleted)");
  Refused(host, process, 12);
  const Findings found = Detected(host);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.begin()->second.severity(), v1::SEVERITY_CRITICAL);
  EXPECT_GT(found.begin()->second.weights_size(), 0);
}

TEST(HostDetectorTest, TheAgentsOwnFlowsAreNotJudged) {
  HostScript host;
  Refused(host, host.Process("/usr/bin/culprit-agent"), 30);
  std::vector<DecodedFrame> frames = host.Frames();
  for (DecodedFrame& frame : frames) {
    for (FlowObservation& flow : frame.flows) flow.facts.flags = v1::FLOW_FLAG_AGENT;
  }
  EXPECT_TRUE(Detected(frames).empty());
}

TEST(HostDetectorTest, NamesTheSessionThatTheProcessBelongsTo) {
  HostScript host;
  const auto login = host.Process("/usr/sbin/sshd", host.Process("/usr/sbin/sshd"));
  const auto shell = host.Process("/bin/bash", login);
  host.Login(login, "ubuntu", "198.51.100.77", "publickey", "SHA256:abc");
  Refused(host, host.Process("/usr/bin/tool", shell), 12);
  const Findings found = Detected(host);
  ASSERT_EQ(found.size(), 1U);
  const v1::Finding& finding = found.begin()->second;
  EXPECT_EQ(finding.session().user(), "ubuntu");
  EXPECT_EQ(finding.session().address(), "198.51.100.77");
  EXPECT_EQ(finding.session().key_fingerprint(), "SHA256:abc");
  EXPECT_NE(finding.reason().find("session of ubuntu from 198.51.100.77, key SHA256:abc"),
            std::string::npos);
}

TEST(HostDetectorTest, ASessionThatIsToldLateStillGetsIntoTheFinding) {
  HostScript host;
  const auto login = host.Process("/usr/sbin/sshd", host.Process("/usr/sbin/sshd"));
  Refused(host, host.Process("/usr/bin/tool", host.Process("/bin/bash", login)), 12);
  host.Login(login, "bob", "198.51.100.77", "password", "");
  const Findings found = Detected(host);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.begin()->second.session().method(), "password");
}

TEST(HostDetectorTest, ALoginByPasswordFromThePublicWeighsMore) {
  HostScript host;
  const auto login = host.Process("/usr/sbin/sshd", host.Process("/usr/sbin/sshd"));
  host.Login(login, "bob", "198.51.100.77", "password", "");
  Refused(host, host.Process("/usr/bin/tool", host.Process("/bin/bash", login)), 12);
  const Findings found = Detected(host);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.begin()->second.severity(), v1::SEVERITY_CRITICAL);
}

TEST(HostDetectorTest, ThresholdsOfTheOperatorHold) {
  HostScript host;
  Refused(host, host.Process("/usr/bin/tool"), 12);
  DetectThresholds mild;
  mild.scan.net_failures = 13;
  EXPECT_TRUE(Detected(host, mild).empty());
}

TEST(DetectEngineTest, HostsDoNotAddUp) {
  HostScript host;
  Refused(host, host.Process("/usr/bin/tool"), 8);
  std::vector<DecodedFrame> frames = host.Frames();
  std::vector<DecodedFrame> both = frames;
  const Uuid other = Uuid::Random();
  for (DecodedFrame& frame : frames) frame.stamp.agent_id = other;
  both.insert(both.end(), frames.begin(), frames.end());
  EXPECT_TRUE(Detected(both).empty());
}

}  // namespace
}  // namespace culprit::testing
