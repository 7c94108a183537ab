// SPDX-License-Identifier: Apache-2.0
// What a triage says of a watch: who did it, on whose login, and nothing that was not seen.
#include "agent/triage/triage_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace culprit {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr const char* kFingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

class TriageTest : public ::testing::Test {
 protected:
  TriageTest() {
    Add(1, 0, "/usr/lib/systemd/systemd", {"/sbin/init"});
    Add(800, 1, "/usr/sbin/sshd", {"sshd: listener"});
    Add(900, 800, "/usr/sbin/sshd", {"sshd: alice [priv]"});
    ProcessFacts& child = Add(901, 900, "/usr/sbin/sshd", {"sshd: alice"});
    child.uid = Uid{1000};
    child.user = "alice";
    SessionFacts session;
    session.id = session.root = Id(900);
    session.serving = Id(901);
    session.user = "alice";
    session.audit_session = 7;
    batch_.sessions.push_back(session);
    LoginFacts login;
    login.session = session.id;
    login.user = "alice";
    login.method = "publickey";
    login.key_type = "ED25519";
    login.key_fingerprint = kFingerprint;
    login.from = *Endpoint::Parse("198.51.100.9:5000");
    login.logged_wall_ns = 1'000 * static_cast<std::int64_t>(kSecond);
    batch_.logins.push_back(login);
  }

  static ProcessId Id(std::uint32_t pid) { return ProcessId{pid + 1'000'000ULL}; }

  ProcessFacts& Add(std::uint32_t pid, std::uint32_t parent, std::string exe,
                    std::vector<std::string> argv) {
    ProcessFacts process;
    process.id = Id(pid);
    if (parent != 0) process.parent = Id(parent);
    process.key = {Tgid{pid}, BootTimeFromNs(pid * kSecond), 1};
    process.exe = std::move(exe);
    process.argv = std::move(argv);
    batch_.processes.push_back(std::move(process));
    return batch_.processes.back();
  }

  FlowRow& Flow(std::uint32_t pid, Direction direction, const char* remote, std::uint64_t sent) {
    FlowRow row;
    row.flow = FlowId{++flows_};
    row.process = Id(pid);
    row.protocol = 6;
    row.direction = direction;
    row.state = FlowState::kOpen;
    row.local = *Endpoint::Parse("192.0.2.1:40000");
    row.remote = *Endpoint::Parse(remote);
    row.totals.tx_wire_bytes = row.totals.rx_wire_bytes = sent;
    row.start = BootTimeFromNs(1'500 * kSecond);
    batch_.flows.push_back(row);
    return batch_.flows.back();
  }

  TriageReport Report() {
    book_.Take(batch_, clock_);
    TriageReport report = MakeTriageReport(book_);
    SortFacts(&report);
    return report;
  }

  static std::vector<std::string> Kinds(const TriageReport& report) {
    std::vector<std::string> kinds;
    for (const TriageFact& fact : report.facts) kinds.push_back(fact.kind);
    return kinds;
  }

  RecordBatch batch_;
  TriageBook book_;
  ClockPair clock_{BootTimeFromNs(2'000 * kSecond), WallTimeFromNs(1'760'000'000LL * kSecond), {}};
  std::uint64_t flows_ = 0;
};

TEST_F(TriageTest, SshdThatConnectsOutForALoginComesFirstWithTheLoginAndItsKey) {
  Flow(901, Direction::kOut, "203.0.113.9:9100", 5'000'000);
  const TriageReport report = Report();
  ASSERT_FALSE(report.facts.empty());
  const TriageFact& fact = report.facts.front();
  EXPECT_EQ(fact.kind, "ssh-relay");
  EXPECT_EQ(fact.pid, 901U);
  EXPECT_THAT(fact.text, HasSubstr("203.0.113.9:9100"));
  EXPECT_THAT(fact.text, HasSubstr("alice from 198.51.100.9:5000 by publickey"));
  EXPECT_THAT(fact.text, HasSubstr(kFingerprint));
  EXPECT_THAT(TriageVerdict(report), HasSubstr("pid 901"));
}

TEST_F(TriageTest, SshdThatOnlyServesItsClientIsNoRelay) {
  Flow(901, Direction::kIn, "198.51.100.9:5000", 5'000'000);
  EXPECT_THAT(Kinds(Report()), ElementsAre("sends-most"));
}

TEST_F(TriageTest, AQuestionToANameServerIsNoRelay) {
  Flow(901, Direction::kOut, "203.0.113.53:53", 500);
  EXPECT_THAT(Kinds(Report()), ElementsAre("sends-most"));
}

TEST_F(TriageTest, OfAnOlderConnectionWhatHadPassedBeforeIsToldApart) {
  FlowRow& row = Flow(901, Direction::kOut, "203.0.113.9:9100", 5'000);
  row.flags = kFlowFlagPreexisting | kFlowFlagReread;
  book_.Take(batch_, clock_);
  batch_.flows.front().totals.tx_wire_bytes = 7'000;
  const TriageReport report = Report();
  ASSERT_EQ(report.processes.size(), 1U);
  EXPECT_EQ(report.processes[0].tx_bytes, 7'000U);
  EXPECT_EQ(report.processes[0].tx_before, 5'000U);
  EXPECT_EQ(report.processes[0].destinations[0].older, 1U);
}

TEST_F(TriageTest, OfANewConnectionNothingHadPassedBefore) {
  Flow(901, Direction::kOut, "203.0.113.9:9100", 5'000);
  EXPECT_EQ(Report().processes[0].tx_before, 0U);
}

TEST_F(TriageTest, AProgramWithoutAFileIsNamedOnlyIfItTalks) {
  Add(950, 1, "/memfd:x", {"x"}).exe_memfd = true;
  Add(951, 1, "/memfd:y", {"y"}).exe_memfd = true;
  Add(952, 1, "/opt/z", {"z"}).exe_deleted = true;
  Add(953, 1, "/dev/shm/.w", {"w"});
  for (const std::uint32_t pid : {950U, 952U, 953U})
    Flow(pid, Direction::kOut, "203.0.113.9:443", 10);
  const TriageReport report = Report();
  EXPECT_THAT(Kinds(report),
              ElementsAre("memory-program", "deleted-program", "odd-place", "sends-most"));
  EXPECT_EQ(report.facts[0].pid, 950U);
}

TEST_F(TriageTest, WhoAcceptsFromElsewhereAndConnectsElsewhereMayPassOn) {
  Add(960, 1, "/usr/bin/python3", {"python3", "relay.py"});
  Flow(960, Direction::kIn, "198.51.100.30:1234", 10'000);
  Flow(960, Direction::kOut, "203.0.113.9:443", 10'000);
  Add(961, 1, "/usr/sbin/nginx", {"nginx"});
  Flow(961, Direction::kIn, "198.51.100.30:1234", 10'000);
  const TriageReport report = Report();
  EXPECT_THAT(Kinds(report), ElementsAre("passes-on", "sends-most"));
  EXPECT_EQ(report.facts[0].pid, 960U);
}

TEST_F(TriageTest, AProcessWithoutASessionIsLaidToTheLastLoginOfItsUserAndThatIsSaid) {
  ProcessFacts& orphan = Add(970, 1, "/usr/bin/python3", {"python3", "relay.py"});
  orphan.login_uid = Uid{1000};
  orphan.login_user = "alice";
  orphan.session_id = 99;
  Flow(970, Direction::kOut, "203.0.113.9:443", 10'000);
  const TriageReport report = Report();
  ASSERT_TRUE(report.processes[0].login);
  EXPECT_EQ(report.processes[0].login->login.key_fingerprint, kFingerprint);
  EXPECT_THAT(report.processes[0].login->by, HasSubstr("inferred"));
}

TEST_F(TriageTest, ALoginAfterAProcessBeganIsNotItsOwn) {
  ProcessFacts& orphan = Add(970, 1, "/usr/bin/python3", {"python3"});
  orphan.login_uid = Uid{1000};
  orphan.login_user = "alice";
  batch_.logins[0].logged_wall_ns = ToNs(clock_.wall);
  Flow(970, Direction::kOut, "203.0.113.9:443", 10'000);
  const TriageReport report = Report();
  ASSERT_TRUE(report.processes[0].login);
  EXPECT_THAT(report.processes[0].login->login.key_fingerprint, IsEmpty());
}

TEST_F(TriageTest, TheAgentAndLoopbackAreNotWhoSendsMost) {
  Add(980, 1, "/root/culprit-agent", {"culprit-agent"}).is_agent = true;
  Flow(980, Direction::kOut, "203.0.113.9:443", 1'000'000);
  Add(981, 1, "/usr/bin/psql", {"psql"});
  Flow(981, Direction::kOut, "127.0.0.1:5432", 1'000'000);
  const TriageReport report = Report();
  EXPECT_THAT(Kinds(report), IsEmpty());
  ASSERT_EQ(report.processes.size(), 1U);
  EXPECT_EQ(report.processes[0].local_tx_bytes, 1'000'000U);
}

TEST_F(TriageTest, KeysThatAreLockedOrNewAreNamed) {
  TriageReport report;
  report.ended_ns = 1'000 * static_cast<std::int64_t>(kSecond);
  report.keys.push_back({"root", "ssh-ed25519", kFingerprint, "evil", "", "/root/k:1", true, true,
                         999 * static_cast<std::int64_t>(kSecond)});
  report.keys.push_back({"ana", "ssh-ed25519", kFingerprint, "old", "", "/a:1", true, false, 1});
  JudgeKeys(&report, 100 * static_cast<std::int64_t>(kSecond));
  EXPECT_THAT(Kinds(report), ElementsAre("locked-key", "new-key"));
}

TEST_F(TriageTest, WhatAHostSaysReachesTerminalAndReaderEscaped) {
  Add(990, 1, "/tmp/\x1b[31mx", {"\x1b]0;evil\x07", "\xff\n"}).user = "\x1b[2J";
  Flow(990, Direction::kOut, "203.0.113.9:443", 10);
  batch_.logins[0].user = "\x1b[31mroot";
  const TriageReport report = Report();
  const std::string text = TriageText(report);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\xff'), std::string::npos);
  const auto json = nlohmann::json::parse(TriageJson(report));
  EXPECT_EQ(TriageJson(report).find('\x1b'), std::string::npos);
  EXPECT_EQ(json["processes"][0]["pid"], 990);
  EXPECT_THAT(json["facts"][0]["text"].get<std::string>(), Not(HasSubstr("\x1b")));
}

TEST_F(TriageTest, AStormOfRecordsIsBoundedAndCounted) {
  TriageBook small({.processes = 2, .flows = 3, .logins = 4, .failures = 2});
  for (int i = 0; i < 10; ++i) Flow(901, Direction::kOut, "203.0.113.9:443", 1);
  small.Take(batch_, clock_);
  EXPECT_EQ(small.processes().size(), 2U);
  EXPECT_EQ(small.flows().size(), 3U);
  EXPECT_EQ(small.dropped(), 2U + 7U);
  EXPECT_THAT(MakeTriageReport(small).gaps, Contains(HasSubstr("over the bounds")));
}

}  // namespace
}  // namespace culprit
