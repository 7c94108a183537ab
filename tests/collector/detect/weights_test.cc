// SPDX-License-Identifier: Apache-2.0
// What raises and lowers a finding's severity, and that it is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/detect/programs.h"
#include "tests/collector/detect/detect_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kDay = 24 * 3600;

// Mail to ten servers: medium by itself.
void Spam(HostScript& host, std::uint64_t process, const std::string& net = "198.51.100.") {
  for (int i = 1; i <= 10; ++i) {
    host.Flow({.process = process,
               .remote = net + std::to_string(i),
               .remote_port = 25,
               .state = v1::FLOW_STATE_CLOSED,
               .tx = 30'000,
               .rx = 2000,
               .rx_packets = 20,
               .lived = kSecond});
    host.Wait(1);
  }
}
v1::Finding Only(const Findings& found) {
  EXPECT_EQ(found.size(), 1U);
  return found.empty() ? v1::Finding{} : found.begin()->second;
}
std::vector<std::string> LinesOf(const v1::Finding& finding) {
  return {finding.weights().begin(), finding.weights().end()};
}
v1::Severity Plain() {
  HostScript host;
  Spam(host, host.Process("/usr/sbin/mailer"));
  return Only(Detected(host)).severity();
}

TEST(WeightsTest, TwoPointsAreALevelWithinBounds) {
  EXPECT_EQ(Weighed(v1::SEVERITY_MEDIUM, 1), v1::SEVERITY_MEDIUM);
  EXPECT_EQ(Weighed(v1::SEVERITY_MEDIUM, 2), v1::SEVERITY_HIGH);
  EXPECT_EQ(Weighed(v1::SEVERITY_MEDIUM, 9), v1::SEVERITY_HIGH);
  EXPECT_EQ(Weighed(v1::SEVERITY_MEDIUM, -1), v1::SEVERITY_MEDIUM);
  EXPECT_EQ(Weighed(v1::SEVERITY_MEDIUM, -2), v1::SEVERITY_LOW);
  EXPECT_EQ(Weighed(v1::SEVERITY_LOW, -9), v1::SEVERITY_LOW);
  EXPECT_EQ(Weighed(v1::SEVERITY_CRITICAL, 9), v1::SEVERITY_CRITICAL);
}

TEST(WeightsTest, AYoungHostWithAPlainProgramHasNone) {
  HostScript host;
  Spam(host, host.Process("/usr/sbin/mailer"));
  const v1::Finding finding = Only(Detected(host));
  EXPECT_THAT(LinesOf(finding), IsEmpty());
  EXPECT_EQ(finding.severity(), finding.base_severity());
}

TEST(WeightsTest, AnUpgradeBelowADaemonWeighsLittleAndADeletedToolMuch) {
  HostScript upgraded;
  Spam(upgraded, upgraded.Process("/usr/sbin/mailer (deleted)"));
  for (auto& frame : upgraded.Frames()) {
    for (const auto& process : frame.processes) {
      const_cast<v1::Process&>(process).set_exe_deleted(true);
    }
  }
  const v1::Finding light = Only(Detected(upgraded));
  EXPECT_THAT(LinesOf(light), ElementsAre("its executable was deleted or replaced (+1)"));
  EXPECT_EQ(light.severity(), Plain());
  HostScript hidden;
  Spam(hidden, hidden.Process("/dev/shm/x"));
  const v1::Finding heavy = Only(Detected(hidden));
  EXPECT_THAT(LinesOf(heavy), ElementsAre("its executable lies where anybody may write (+2)"));
  EXPECT_GT(heavy.severity(), Plain());
  EXPECT_EQ(heavy.base_severity(), Plain());
}

TEST(WeightsTest, WhatStartedItIsTold) {
  const std::pair<const char*, const char*> cases[] = {
      {"/usr/sbin/cron", "started under cron (+1)"},
      {"/usr/sbin/nginx", "started under a web server (+2)"},
      {"/usr/sbin/sshd", "started under sshd (+1)"}};
  for (const auto& [parent, line] : cases) {
    HostScript host;
    const auto starter = host.Process(parent, host.Process("/sbin/init", 0, 1));
    Spam(host, host.Process("/usr/bin/mailer", host.Process("/bin/sh", starter)));
    EXPECT_THAT(LinesOf(Only(Detected(host))), ElementsAre(line));
  }
}

TEST(WeightsTest, AWorkerOfAWebServerIsTheServerItself) {
  HostScript host;
  const auto main = host.Process("/usr/sbin/nginx", host.Process("/sbin/init", 0, 1));
  Spam(host, host.Process("/usr/sbin/nginx", main));
  EXPECT_THAT(LinesOf(Only(Detected(host))), IsEmpty());
}

v1::Finding FoundAs(const std::string& exe, v1::PackageState state, bool deleted = false) {
  HostScript host;
  Spam(host, host.Process(exe));
  for (auto& frame : host.Frames()) {
    for (const auto& process : frame.processes) {
      auto& definition = const_cast<v1::Process&>(process);
      definition.mutable_exe_package()->set_state(state);
      if (state != v1::PACKAGE_STATE_NONE) definition.mutable_exe_package()->set_name("postfix");
      definition.set_exe_deleted(deleted);
    }
  }
  return Only(Detected(host));
}

TEST(WeightsTest, WhatBelongsToNoPackageWeighsLittleAndWhatDiffersFromItsOwnMuch) {
  const v1::Finding none = FoundAs("/usr/sbin/mailer", v1::PACKAGE_STATE_NONE);
  EXPECT_THAT(LinesOf(none), ElementsAre("its executable belongs to no package (+1)"));
  EXPECT_EQ(none.severity(), Plain());
  const v1::Finding differs = FoundAs("/usr/sbin/mailer", v1::PACKAGE_STATE_DIFFERS);
  EXPECT_THAT(LinesOf(differs),
              ElementsAre("its executable differs from its package postfix (+2)"));
  EXPECT_GT(differs.severity(), Plain());
  for (const auto state :
       {v1::PACKAGE_STATE_INTACT, v1::PACKAGE_STATE_LISTED, v1::PACKAGE_STATE_UNSPECIFIED}) {
    EXPECT_THAT(LinesOf(FoundAs("/usr/sbin/mailer", state)), IsEmpty());
  }
}

TEST(WeightsTest, ADeletedExecutableIsNotAlsoWithoutAPackage) {
  EXPECT_THAT(LinesOf(FoundAs("/usr/sbin/mailer", v1::PACKAGE_STATE_NONE, true)),
              ElementsAre("its executable was deleted or replaced (+1)"));
}

TEST(WeightsTest, APacketSocketOfTheGroupIsTold) {
  HostScript host;
  const auto process = host.Process("/usr/sbin/mailer");
  v1::ProcessCounters counters;
  counters.set_process_id(process);
  counters.set_raw_packets(3);
  host.Counters(counters);
  host.Wait(1);
  Spam(host, process);
  EXPECT_THAT(LinesOf(Only(Detected(host))), Contains(HasSubstr("packets of its own")));
}

TEST(WeightsTest, HoursCountInTheZoneThatIsSetAndOnlyThere) {
  HostScript host;  // 2026-02-02 02:40 UTC, a Monday
  Spam(host, host.Process("/usr/sbin/mailer"));
  HoursSettings settings;
  settings.zone = "Asia/Kolkata";  // 08:20
  EXPECT_THAT(LinesOf(Only(Detected(host.Frames(), {}, *LoadWorkHours(settings)))), IsEmpty());
  settings.zone = "America/New_York";  // 21:40 on Sunday
  EXPECT_THAT(LinesOf(Only(Detected(host.Frames(), {}, *LoadWorkHours(settings)))),
              ElementsAre(HasSubstr("outside working hours: 21:5")));
  settings.zone = "";
  EXPECT_THAT(LinesOf(Only(Detected(host.Frames(), {}, *LoadWorkHours(settings)))), IsEmpty());
  settings.zone = "Middle/Earth";
  EXPECT_FALSE(LoadWorkHours(settings));
}

TEST(WeightsTest, TheWeekendIsFreeUnlessItIsSaid) {
  HoursSettings settings;
  settings.zone = "UTC";
  const WallTime sunday = WallTimeFromNs(1'770'000'000LL * 1'000'000'000) - std::chrono::hours(15);
  EXPECT_EQ(LoadWorkHours(settings)->OffHours(sunday), "11:40 on Sunday in UTC");
  settings.weekend = true;
  EXPECT_FALSE(LoadWorkHours(settings)->OffHours(sunday));
  settings.begin_hour = 12;
  EXPECT_TRUE(LoadWorkHours(settings)->OffHours(sunday));
}

TEST(WeightsTest, NewProgramRegionAndDestinationsOfAGrownHostWeigh) {
  HostScript host;
  host.Ended(host.Process("/usr/bin/curl"), "192.0.2.77", 443, true);
  host.Wait(2 * kDay);
  Spam(host, host.Process("/usr/bin/mailer"), "203.0.113.");
  const v1::Finding finding = Only(Detected(host));
  EXPECT_THAT(LinesOf(finding),
              ElementsAre("the host had not run this program on the network before (+1)",
                          "the host had never talked to me-south-1 before (+1)",
                          "the host had not talked to its destinations before (+1)"));
  EXPECT_GT(finding.severity(), Plain());
}

TEST(WeightsTest, WhatTheHostHasDoneForLongSpeaksForIt) {
  HostScript host;
  const auto process = host.Process("/usr/sbin/mailer");
  Spam(host, process);
  host.Wait(8 * kDay);
  Spam(host, process);
  const Findings found = Detected(host);
  for (const auto& [id, finding] : found) {
    if (finding.weights().empty()) continue;  // the one of a week ago
    EXPECT_THAT(LinesOf(finding),
                ElementsAre("the host has run this program on the network for long (-1)",
                            "the host has talked to its destinations for long (-1)"));
    EXPECT_LT(finding.severity(), Plain());
  }
  EXPECT_EQ(found.size(), 2U);
}

TEST(WeightsTest, AToolThatIsKnownSaysNothing) {
  HostScript host;
  const auto process = host.Process("/usr/bin/python3.11");
  host.Ended(process, "192.0.2.77", 443, true);
  host.Wait(8 * kDay);
  Spam(host, process);
  EXPECT_THAT(LinesOf(Only(Detected(host))),
              ElementsAre("the host had not talked to its destinations before (+1)"));
}

TEST(WeightsTest, AnUpgradedPackageIsNoNewProgramAndAnotherFileElsewhereIs) {
  const std::string one(32, 'a'), two(32, 'b');
  for (const auto& [path, fresh] :
       {std::pair{"/usr/sbin/mailer", false}, std::pair{"/opt/mailer", true}}) {
    HostScript host;
    host.Ended(host.Process(path, 0, 0, false, one), "198.51.100.1", 443, true);
    host.Wait(8 * kDay);
    Spam(host, host.Process(path, 0, 0, false, two));
    const auto lines = LinesOf(Only(Detected(host)));
    const bool told = std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
      return line.find("had not run this program") != std::string::npos;
    });
    EXPECT_EQ(told, fresh) << path;
  }
}

TEST(WeightsTest, AYoungHostIsJudgedByItsSiblings) {
  HostScript old, young;
  old.Host("ami-1");
  old.Ended(old.Process("/usr/bin/curl"), "198.51.100.99", 443, true);
  old.Wait(3 * kDay);
  young.agent = Uuid::Random();
  young.now = old.now;
  young.Host("ami-1");
  Spam(young, young.Process("/usr/bin/mailer"), "203.0.113.");
  std::vector<DecodedFrame> frames = old.Frames();
  frames.insert(frames.end(), young.Frames().begin(), young.Frames().end());
  EXPECT_THAT(LinesOf(Only(Detected(frames))),
              Contains("the host had never talked to me-south-1 before (+1)"));
  EXPECT_THAT(LinesOf(Only(Detected(young))), IsEmpty());
}

// An upload to where the siblings send theirs is what such hosts do.
TEST(WeightsTest, ADestinationOfTheSiblingsIsNoNewOne) {
  HostScript old, young;
  const auto upload = [](HostScript& host) {
    const auto process = host.Process("/usr/bin/backup");
    std::uint64_t flow = 0;
    for (std::uint64_t i = 1; i <= 80; ++i) {
      flow = host.Flow({.process = process,
                        .remote = "203.0.113.9",
                        .tx = i * 10'000'000,
                        .rx_packets = i,
                        .lived = i * kSecond,
                        .flow = flow});
      host.Wait(1);
    }
  };
  old.Host("ami-1");
  old.Ended(old.Process("/usr/bin/backup"), "203.0.113.9", 443, true);
  old.Wait(3 * kDay);
  young.agent = Uuid::Random();
  young.now = old.now;
  young.Host("ami-1");
  upload(young);
  std::vector<DecodedFrame> frames = old.Frames();
  frames.insert(frames.end(), young.Frames().begin(), young.Frames().end());
  EXPECT_THAT(RulesOf(Detected(frames)), IsEmpty());
  EXPECT_THAT(RulesOf(Detected(young)), ElementsAre("egress"));
}

TEST(WeightsTest, APoolsNameAndPortWeighBesideItsProtocol) {
  HostScript host;
  const auto process = host.Process("/usr/bin/worker");
  const auto flow = host.Flow(
      {.process = process, .remote = "203.0.113.9", .remote_port = 3333, .rx_packets = 2});
  host.Name(process, flow, v1::NAME_SOURCE_DNS, "eu.xmrpool.example");
  host.Name(process, flow, v1::NAME_SOURCE_STRATUM, "4AbCd.worker1");
  const v1::Finding finding = Only(Detected(host));
  EXPECT_THAT(LinesOf(finding), ElementsAre("the other end is a mining pool by its name (+1)",
                                            "its port is one that mining pools use (+1)"));
  EXPECT_THAT(finding.reason(),
              HasSubstr("203.0.113.9:3333 (eu.xmrpool.example), and speaks Stratum, the protocol "
                        "of mining pools, as 4AbCd.worker1"));
  EXPECT_EQ(finding.confidence(), v1::CONFIDENCE_HIGH);
}

TEST(ProgramsTest, ToolsAreToldInAnyVersionAndPlace) {
  for (const char* exe : {"/usr/bin/python3.11", "/tmp/bash", "/usr/bin/nc.openbsd", "curl",
                          "/usr/sbin/sshd (deleted)", "/usr/bin/perl5.36.0"}) {
    EXPECT_TRUE(IsGeneralTool(exe)) << exe;
  }
  for (const char* exe : {"/usr/sbin/nginx", "/opt/pythonish", "", "/usr/bin/restic"}) {
    EXPECT_FALSE(IsGeneralTool(exe)) << exe;
  }
}

}  // namespace
}  // namespace culprit::testing
