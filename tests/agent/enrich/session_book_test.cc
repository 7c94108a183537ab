// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/session_book.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/agent/enrich/enricher_fixture.h"

namespace culprit::testing {
namespace {

constexpr const char* kFp = "SHA256:nu5a7kptJrjd0fdW5quHqRhI1Sf89RDa00oyBl1QTR0";

// sshd: listener 10, for each connection an exec'd monitor, which forks.
class SessionBookTest : public EnricherTest {
 protected:
  SessionBookTest() { Run(Sshd(Key(10), Key(1))); }

  static ExecEvent Sshd(const ProcessKey& key, const ProcessKey& parent,
                        const ProcessKey& previous = {}) {
    ExecEvent e = Exec(key).Path("/usr/sbin/sshd").User(0).Parent(parent).Build();
    e.at = key.start;
    e.previous = previous;
    return e;
  }
  void Run(const Event& event) {
    enricher_.Apply(event);
    book_.On(event);
  }
  static ForkEvent RootFork(const ProcessKey& child, const ProcessKey& parent,
                            std::uint32_t session = kNoSession,
                            std::uint32_t login_uid = 0xffffffff) {
    ForkEvent e = Fork(child, parent, child.start.time_since_epoch());
    e.uid = Uid{0};
    e.comm = "sshd";
    e.session_id = session;
    e.login_uid = Uid{login_uid};
    return e;
  }
  // The connection that the listener accepts just before the process `monitor`.
  static FlowEvent Connection(const ProcessKey& monitor, std::uint64_t cookie,
                              const char* from = "203.0.113.5:50000") {
    Flow flow;
    flow.Cookie(cookie)
        .Dir(Direction::kIn)
        .Local("192.0.2.1:22")
        .Remote(from)
        .Owner(Key(10))
        .Creator(Key(10));
    FlowEvent e = flow.Build();
    e.start = e.at = monitor.start - 1ms;
    e.comm = "sshd";
    return e;
  }
  // The image of the monitor: forked by the listener, then exec'd.
  static ProcessKey Monitor(std::uint32_t tgid) { return Key(tgid, 2); }
  void Connect(std::uint32_t tgid, std::uint64_t cookie, const char* from = "203.0.113.5:50000") {
    Run(Connection(Monitor(tgid), cookie, from));
    Run(RootFork(Key(tgid), Key(10)));
    Run(Sshd(Monitor(tgid), Key(10), Key(tgid)));
    FlowEvent sent = Connection(Monitor(tgid), cookie, from);
    sent.owner = Monitor(tgid);
    sent.at = At(std::chrono::milliseconds(tgid + 1));
    Run(sent);
    Run(RootFork(Key(tgid + 1), Monitor(tgid)));  // for the time before the login
  }
  static LoginLine Accepted(std::uint32_t pid, const std::string& user = "admin",
                            const char* from = "203.0.113.5:50000") {
    LoginLine line;
    line.kind = LoginLineKind::kAccepted;
    line.pid = pid;
    line.user = user;
    line.method = "publickey";
    line.key_type = "ED25519";
    line.key_fingerprint = kFp;
    line.from = Endpoint::Parse(from).value();
    line.at = WallTimeFromNs(1'772'366'400'000'000'000);
    return line;
  }
  void Login(std::uint32_t tgid, std::uint32_t session = 7) {
    Connect(tgid, tgid);
    book_.On(Accepted(tgid), At(std::chrono::milliseconds(tgid + 2)), 0);
    Run(Exit(Key(tgid + 1), std::chrono::milliseconds(tgid + 3)));
    Run(RootFork(Key(tgid + 4), Monitor(tgid), session, 1000));
  }
  void TickAt(std::chrono::nanoseconds t) {
    book_.Tick(At(t));
    RecordBatch batch;
    book_.Take(&batch, 10'000);
    for (auto& session : batch.sessions) sessions_.push_back(std::move(session));
    for (auto& login : batch.logins) logins_.push_back(std::move(login));
  }
  // The newest state of a session.
  SessionFacts Of(const ProcessKey& root) const {
    for (auto it = sessions_.rbegin(); it != sessions_.rend(); ++it) {
      if (it->id == IdOf(root)) return *it;
    }
    ADD_FAILURE() << "no session of " << root.tgid.value();
    return {};
  }
  static LinkConfidence Link(const SessionFacts& facts, SessionLinkKind kind) {
    LinkConfidence weakest = LinkConfidence::kNone;
    for (const SessionLinkFacts& link : facts.links) {
      if (link.kind == kind && (weakest == LinkConfidence::kNone || link.confidence < weakest)) {
        weakest = link.confidence;
      }
    }
    return weakest;
  }

  SessionBook book_{BootId(), enricher_, users_};
  std::vector<SessionFacts> sessions_;
  std::vector<LoginFacts> logins_;
};

TEST_F(SessionBookTest, JoinsALineWithItsProcessConnectionAndAuditSession) {
  Login(100);
  TickAt(200ms);
  ASSERT_EQ(logins_.size(), 1U);
  EXPECT_EQ(logins_[0].session, IdOf(Monitor(100)));
  EXPECT_EQ(logins_[0].key_fingerprint, kFp);
  const SessionFacts facts = Of(Monitor(100));
  EXPECT_EQ(facts.root, IdOf(Monitor(100)));
  EXPECT_EQ(facts.serving, IdOf(Key(104)));
  EXPECT_NE(facts.flow, FlowId{});
  EXPECT_EQ(facts.from, Endpoint::Parse("203.0.113.5:50000").value());
  EXPECT_EQ(facts.audit_session, 7U);
  EXPECT_EQ(facts.login_uid, Uid{1000});
  EXPECT_EQ(Link(facts, SessionLinkKind::kProcess), LinkConfidence::kMedium);
  EXPECT_EQ(Link(facts, SessionLinkKind::kFlow), LinkConfidence::kMedium);
  EXPECT_EQ(Link(facts, SessionLinkKind::kAudit), LinkConfidence::kHigh);
  EXPECT_EQ(facts.ended, BootTime{});
}

TEST_F(SessionBookTest, JoinsALoginThatIsOverWhenItsLineIsRead) {
  Connect(100, 1);
  Run(Exit(Key(101), 102ms));
  Run(RootFork(Key(104), Monitor(100), 7, 1000));
  Run(Exit(Key(104), 110ms));
  Run(Exit(Monitor(100), 111ms));
  book_.On(Accepted(100), At(300ms), 0);
  TickAt(400ms);
  const SessionFacts facts = Of(Monitor(100));
  EXPECT_EQ(facts.ended, At(111ms));
  EXPECT_EQ(facts.serving, IdOf(Key(104)));
  EXPECT_EQ(facts.audit_session, 7U);
  EXPECT_EQ(Link(facts, SessionLinkKind::kFlow), LinkConfidence::kMedium);
}

// Two namespaces, or two addresses of the host: the client's end alone does not tell them apart.
TEST_F(SessionBookTest, TellsConnectionsFromOneClientPortApartByTheirProcess) {
  Connect(100, 1);
  Connect(200, 2);
  book_.On(Accepted(100), At(300ms), 0);
  book_.On(Accepted(200), At(300ms), 0);
  TickAt(400ms);
  EXPECT_NE(Of(Monitor(100)).flow, Of(Monitor(200)).flow);
  EXPECT_EQ(Link(Of(Monitor(100)), SessionLinkKind::kFlow), LinkConfidence::kMedium);
  EXPECT_EQ(Link(Of(Monitor(200)), SessionLinkKind::kFlow), LinkConfidence::kMedium);
}

TEST_F(SessionBookTest, ALineWithoutAPidIsJoinedByItsConnection) {
  Connect(100, 1);
  book_.On(Accepted(0), At(300ms), 0);
  TickAt(400ms);
  EXPECT_EQ(Of(Monitor(100)).serving, IdOf(Key(101)));
}

TEST_F(SessionBookTest, ALineWithoutAPidThatFitsTwoConnectionsIsJoinedToNone) {
  Connect(100, 1);
  Connect(200, 2);
  book_.On(Accepted(0), At(300ms), 0);
  TickAt(3s);
  ASSERT_EQ(sessions_.size(), 1U);
  EXPECT_EQ(sessions_[0].root, ProcessId{});
  EXPECT_EQ(Link(sessions_[0], SessionLinkKind::kProcess), LinkConfidence::kLow);
}

// The listener is gone (an upgrade restarted it): of two sshds the upper one let the user in.
TEST_F(SessionBookTest, AConnectionOlderThanTheAgentHasItsMonitorForARoot) {
  for (const bool listener : {false, true}) {
    const std::uint32_t tgid = listener ? 7 : 5;  // older than the first event
    const auto snapshot = [&](const ProcessKey& key, const ProcessKey& parent, std::uint32_t uid) {
      ExecEvent e = Sshd(key, parent);
      e.from_iterator = true;
      e.uid = Uid{uid};
      Run(e);
    };
    snapshot(Key(tgid), listener ? Key(10) : Key(1), 0);
    snapshot(Key(tgid + 1), Key(tgid), 1000);
    FlowEvent flow =
        Connection(Key(tgid), tgid, listener ? "203.0.113.6:50000" : "203.0.113.5:50000");
    flow.owner = Key(tgid + 1);
    flow.start = At(2s);
    flow.flags = CULPRIT_FLOW_PREEXISTING;
    flow.direction = Direction::kUnknown;
    Run(flow);
    book_.On(Accepted(0, "admin", listener ? "203.0.113.6:50000" : "203.0.113.5:50000"), At(3s), 0);
    TickAt(6s);
    EXPECT_EQ(Of(Key(tgid)).root, IdOf(Key(tgid))) << listener;
    EXPECT_EQ(Of(Key(tgid)).serving, IdOf(Key(tgid + 1))) << listener;
  }
}

// PAM gives the session to the process that lets somebody in, and its children have it from there.
TEST_F(SessionBookTest, ALoginOlderThanTheAgentHasTheAuditSessionOfItsMonitor) {
  for (const bool by_hand : {false, true}) {  // by hand: the listener is somebody's own
    const std::uint32_t tgid = by_hand ? 7 : 4;
    const std::uint32_t session = by_hand ? 8 : 9;
    const auto snapshot = [&](std::uint32_t which, std::uint32_t parent, std::uint32_t carries) {
      ExecEvent e = Sshd(Key(which), Key(parent));
      e.from_iterator = true;
      e.session_id = carries;
      e.login_uid = Uid{carries == kNoSession ? 0xffffffffU : 1000U};
      Run(e);
    };
    snapshot(tgid - 1, 1, by_hand ? session : kNoSession);
    snapshot(tgid, tgid - 1, session);
    book_.On(Accepted(tgid), by_hand ? At(20s) : At(10s), 0);
    TickAt(by_hand ? 23s : 13s);
    EXPECT_EQ(Of(Key(tgid)).audit_session, by_hand ? kNoSession : session);
  }
}

TEST_F(SessionBookTest, WhatPamStartsAtTheLogoutServesNobody) {
  Login(100);
  TickAt(150ms);
  Run(Exit(Key(104), 160ms));
  Run(RootFork(Key(170), Monitor(100), 7, 1000));
  Run(Exec(Key(170, 2))
          .Previous(Key(170))
          .Parent(Monitor(100))
          .Path("/sbin/pam-helper")
          .User(0)
          .Build());
  Run(Exit(Key(170, 2), 180ms));
  TickAt(5s);
  EXPECT_EQ(Of(Monitor(100)).serving, IdOf(Key(104)));
}

TEST_F(SessionBookTest, WhatPamStartsAtTheLoginDoesNotServeEither) {
  Connect(100, 100);
  book_.On(Accepted(100), At(102ms), 0);
  Run(Exit(Key(101), 103ms));
  Run(RootFork(Key(104), Monitor(100), 7, 1000));
  Run(Exec(Key(104, 2))
          .Previous(Key(104))
          .Parent(Monitor(100))
          .Path("/sbin/pam-helper")
          .User(0)
          .Build());
  Run(RootFork(Key(105), Monitor(100), 7, 1000));
  TickAt(5s);
  EXPECT_EQ(Of(Monitor(100)).serving, IdOf(Key(105)));
}

TEST_F(SessionBookTest, RootIsServedByTheProcessThatLetHimIn) {
  Connect(100, 1);
  book_.On(Accepted(100, "root"), At(102ms), 0);
  Run(Exit(Key(101), 103ms));
  Run(RootFork(Key(104), Monitor(100), 7, 0));
  Run(Exec(Key(104, 2)).Previous(Key(104)).Parent(Monitor(100)).Path("/bin/bash").User(0).Build());
  TickAt(2s);
  EXPECT_EQ(Of(Monitor(100)).serving, IdOf(Monitor(100)));
}

TEST_F(SessionBookTest, ASessionThatNoLineTellsAboutShowsByItsAuditSession) {
  Connect(100, 1);
  Run(Exit(Key(101), 102ms));
  Run(RootFork(Key(104), Monitor(100), 7, 1000));
  TickAt(1s);
  EXPECT_TRUE(sessions_.empty());
  TickAt(3s);
  const SessionFacts facts = Of(Monitor(100));
  EXPECT_EQ(facts.kind, LoginKind::kSsh);
  EXPECT_EQ(facts.user, "admin");
  EXPECT_TRUE(logins_.empty());
  EXPECT_EQ(book_.counters().unlogged, 1U);
  book_.On(Accepted(100), At(4s), 0);  // a log that lags
  TickAt(5s);
  ASSERT_EQ(logins_.size(), 1U);
  EXPECT_EQ(Of(Monitor(100)).audit_session, 7U);
  EXPECT_EQ(sessions_.back().links.size(), 3U);
}

TEST_F(SessionBookTest, ASchedulersAuditSessionIsNobodysLogin) {
  Run(Exec(Key(20)).Path("/usr/sbin/cron").User(0).Parent(Key(1)).Build());
  ForkEvent job = RootFork(Key(21), Key(20), 9, 1000);
  job.comm = "cron";
  Run(job);
  TickAt(10s);
  EXPECT_TRUE(sessions_.empty());
}

TEST_F(SessionBookTest, TheFirstLoginUidIsKeptAndALaterOneTold) {
  Login(100);
  Run(RootFork(Key(120), Key(104), 7, 1000));
  ExecEvent shell = Exec(Key(120, 2)).Previous(Key(120)).Parent(Key(104)).Path("/bin/bash").Build();
  shell.session_id = 7;
  shell.login_uid = Uid{1000};
  Run(shell);
  ForkEvent other = RootFork(Key(130), Key(120, 2), 8, 33);
  other.comm = "sh";
  Run(other);
  Run(RootFork(Key(140), Key(130), 8, 33));
  TickAt(10s);
  const SessionFacts facts = Of(Monitor(100));
  EXPECT_EQ(facts.login_uid, Uid{1000});
  EXPECT_EQ(facts.audit_session, 7U);
  ASSERT_EQ(facts.changes.size(), 1U);
  EXPECT_EQ(facts.changes[0].process, IdOf(Key(130)));
  EXPECT_EQ(facts.changes[0].to, Uid{33});
  EXPECT_EQ(facts.changes[0].from, Uid{1000});
  EXPECT_EQ(facts.changes[0].to_session, 8U);
  for (const SessionFacts& session : sessions_) EXPECT_EQ(session.id, IdOf(Monitor(100)));
}

// Nothing of it is a login within the session of whoever started the daemon.
TEST_F(SessionBookTest, LoginsByADaemonThatALoginStartedAreOfTheirOwn) {
  Login(100);
  ExecEvent daemon = Sshd(Key(200), Key(104));
  daemon.session_id = 7;
  daemon.login_uid = Uid{1000};
  Run(daemon);
  FlowEvent flow = Connection(Monitor(300), 300, "203.0.113.9:40000");
  flow.owner = Key(200);
  Run(flow);
  Run(RootFork(Key(300), Key(200), 7, 1000));
  ExecEvent monitor = Sshd(Monitor(300), Key(200), Key(300));
  monitor.session_id = 7;
  monitor.login_uid = Uid{1000};
  Run(monitor);
  book_.On(Accepted(300, "admin", "203.0.113.9:40000"), At(302ms), 0);
  Run(RootFork(Key(304), Monitor(300), 9, 1000));
  TickAt(10s);
  EXPECT_EQ(Of(Monitor(300)).audit_session, 9U);
  EXPECT_TRUE(Of(Monitor(100)).changes.empty());
}

TEST_F(SessionBookTest, ALineWithoutAProcessIsToldAsSuch) {
  book_.On(Accepted(4711), At(100ms), 0);
  TickAt(200ms);
  EXPECT_TRUE(logins_.empty());  // it may still come
  TickAt(3s);
  ASSERT_EQ(logins_.size(), 1U);
  ASSERT_EQ(sessions_.size(), 1U);
  EXPECT_EQ(sessions_[0].root, ProcessId{});
  EXPECT_EQ(Link(sessions_[0], SessionLinkKind::kProcess), LinkConfidence::kLow);
  EXPECT_EQ(book_.counters().unconfirmed, 1U);
}

TEST_F(SessionBookTest, APidThatIsNoSshdOfRootProvesNothing) {
  Run(Exec(Key(500)).Path("/home/admin/sshd").User(1000).Build());
  book_.On(Accepted(500), At(600ms), 0);
  TickAt(3s);
  ASSERT_EQ(sessions_.size(), 1U);
  EXPECT_EQ(sessions_[0].root, ProcessId{});
}

TEST_F(SessionBookTest, LinesThatAnyoneWritesCrowdNoLoginOut) {
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    LoginLine line = Accepted(100'000 + i);
    line.at = WallTimeFromNs(1'772'366'400'000'000'000 + i);
    book_.On(line, At(50ms), 0);
  }
  Login(100);
  TickAt(3s);
  EXPECT_EQ(Of(Monitor(100)).audit_session, 7U);
  EXPECT_LE(sessions_.size(), SessionLimits{}.max_unconfirmed + 2);
  EXPECT_GT(book_.counters().dropped, 0U);
}

TEST_F(SessionBookTest, ASecondLineOfTheSameProcessThatSaysOtherwiseIsTold) {
  Connect(100, 1);
  book_.On(Accepted(100, "mallory"), At(102ms), 0);
  book_.On(Accepted(100, "admin"), At(103ms), 0);
  TickAt(1s);
  const SessionFacts facts = Of(Monitor(100));
  EXPECT_EQ(Link(facts, SessionLinkKind::kProcess), LinkConfidence::kLow);
  EXPECT_NE(facts.links.back().reason.find("admin"), std::string::npos);
}

TEST_F(SessionBookTest, ALineReadTwiceIsOneLogin) {
  Login(100);
  book_.On(Accepted(100), At(500ms), 0);
  TickAt(1s);
  EXPECT_EQ(logins_.size(), 1U);
  EXPECT_EQ(Link(Of(Monitor(100)), SessionLinkKind::kProcess), LinkConfidence::kMedium);
}

TEST_F(SessionBookTest, AUserWhoIsNotTheKernelsIsToldAsDoubtful) {
  Connect(100, 1);
  book_.On(Accepted(100, "bob"), At(102ms), 0);
  Run(Exit(Key(101), 103ms));
  Run(RootFork(Key(104), Monitor(100), 7, 1000));  // 1000 is admin
  TickAt(1s);
  EXPECT_EQ(Link(Of(Monitor(100)), SessionLinkKind::kAudit), LinkConfidence::kLow);
}

TEST_F(SessionBookTest, TellsWhereAKeyStandsAndForWhomItWasHandedOut) {
  LoginLine found;
  found.kind = LoginLineKind::kKeyFound;
  found.key_fingerprint = kFp;
  found.key_found_at = "/home/admin/.ssh/authorized_keys:3";
  book_.On(found, At(99ms), 0);
  LoginLine handed;
  handed.kind = LoginLineKind::kKeyHandedOut;
  handed.key_fingerprint = kFp;
  handed.principal = "arn:aws:iam::123456789012:user/alice";
  book_.On(handed, At(99ms), 0);
  Login(100);
  TickAt(1s);
  ASSERT_EQ(logins_.size(), 1U);
  EXPECT_EQ(logins_[0].key_found_at, found.key_found_at);
  EXPECT_EQ(logins_[0].principal, handed.principal);
  EXPECT_EQ(logins_[0].kind, LoginKind::kInstanceConnect);
}

TEST_F(SessionBookTest, AShellOfTheSsmAgentIsASession) {
  Run(Exec(Key(600))
          .Path("/usr/bin/ssm-session-worker")
          .User(0)
          .Argv({"ssm-session-worker", "alice-0123"})
          .Build());
  TickAt(1s);
  ASSERT_EQ(logins_.size(), 1U);
  EXPECT_EQ(logins_[0].kind, LoginKind::kSsm);
  EXPECT_EQ(logins_[0].principal, "alice-0123");
  EXPECT_EQ(Of(Key(600)).root, IdOf(Key(600)));
  Run(Exec(Key(700)).Path("/tmp/ssm-session-worker").User(1000).Build());
  TickAt(2s);
  EXPECT_EQ(logins_.size(), 1U);
}

TEST_F(SessionBookTest, ALoginAtTheConsoleIsASession) {
  Run(Exec(Key(800)).Path("/bin/login").User(0).Parent(Key(1)).Build());
  LoginLine line;
  line.kind = LoginLineKind::kConsole;
  line.user = "admin";
  line.pid = 800;
  book_.On(line, At(801ms), 0);
  Run(RootFork(Key(802), Key(800), 5, 1000));
  TickAt(1s);
  EXPECT_EQ(Of(Key(800)).kind, LoginKind::kConsole);
  EXPECT_EQ(Of(Key(800)).audit_session, 5U);
}

TEST_F(SessionBookTest, ALoginAtTheConsoleThatIsOverWhenItsLineIsReadIsOneSession) {
  Run(Exec(Key(800)).Path("/bin/login").User(0).Parent(Key(1)).Build());
  Run(RootFork(Key(802), Key(800), 5, 1000));
  Run(Exit(Key(802), 810ms));
  Run(Exit(Key(800), 811ms));
  LoginLine line;
  line.kind = LoginLineKind::kConsole;
  line.user = "admin";
  line.pid = 800;
  book_.On(line, At(900ms), 0);
  TickAt(5s);
  EXPECT_EQ(Of(Key(800)).ended, At(811ms));
  EXPECT_EQ(logins_.size(), 1U);
  for (const SessionFacts& session : sessions_) EXPECT_EQ(session.id, IdOf(Key(800)));
}

TEST_F(SessionBookTest, AfterANewStreamSessionsThatGoOnAreToldAgain) {
  Login(100);
  Login(200, 8);
  Run(Exit(Monitor(200), 300ms));
  TickAt(1s);
  sessions_.clear();
  book_.ForgetSent();
  TickAt(2s);
  ASSERT_EQ(sessions_.size(), 1U);
  EXPECT_EQ(sessions_[0].id, IdOf(Monitor(100)));
}

}  // namespace
}  // namespace culprit::testing
