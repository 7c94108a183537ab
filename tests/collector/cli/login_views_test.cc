// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "collector/cli/views.h"
#include "tests/collector/cli/golden.h"

namespace culprit::cli {
namespace {

using testing::ExpectGolden;
using testing::Load;
using testing::Terminal;
using testing::Wide;

TEST(LoginViewsTest, Logins) {
  const auto answer = Load<v1::ListLoginsResponse>("logins");
  const std::vector<v1::LoginRow> rows(answer.logins().begin(), answer.logins().end());
  ExpectGolden("logins", RenderLogins(rows, Wide()));
  ExpectGolden("logins_100", RenderLogins(rows, Terminal(100)));
}

TEST(LoginViewsTest, FailedLogins) {
  const auto answer = Load<v1::ListLoginsResponse>("logins");
  ExpectGolden("logins_failed",
               RenderLoginFailures({answer.failures().begin(), answer.failures().end()}, Wide()));
}

TEST(LoginViewsTest, Session) {
  const auto answer = Load<v1::GetSessionResponse>("session");
  ExpectGolden("session", RenderSession(answer, {}, Wide()));
  ExpectGolden("session_100", RenderSession(answer, {}, Terminal(100)));
}

TEST(LoginViewsTest, ASessionTellsWhatItChangedOfSsh) {
  const auto answer = Load<v1::GetSessionResponse>("session");
  v1::PostureChangeRow change;
  change.set_at_ns(answer.login().began_ns());
  change.set_kind("changed");
  change.set_path("/root/.ssh/authorized_keys");
  change.set_pid(77);
  change.set_command_line("tee -a \x1b[2J");
  change.set_diff("+ssh-ed25519 AAAA left@behind\n");
  const std::string text = RenderSession(answer, {change}, Wide());
  for (const char* words : {"It changed of SSH:", "changed  /root/.ssh/authorized_keys", "(pid 77",
                            "+ssh-ed25519 AAAA left@behind"})
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(LoginViewsTest, WhatWasDoneWithAKey) {
  const auto one = Load<v1::GetSessionResponse>("session");
  auto other = one;
  other.mutable_login()->set_host("web-2");
  other.mutable_processes(2)->mutable_process()->set_argv(2, "443; echo \x1b[2J");
  ExpectGolden("key_use", RenderKeyUse({one, other}, Wide()));
  ExpectGolden("key_use_100", RenderKeyUse({one, other}, Terminal(100)));
}

TEST(LoginViewsTest, AProcessSaysHowWhoeverStartedItCameIn) {
  auto answer = Load<v1::GetProcessResponse>("process");
  v1::ProcessInfo* process = answer.mutable_process();
  process->set_login_session_id("9f86d081884c7d65");
  process->set_session_kind("ssh");
  process->set_session_user("alice");
  process->set_session_address("203.0.113.5");
  process->set_key_fingerprint("SHA256:nu5a7kptJrjd0fdW5quHqRhI1Sf89RDa00oyBl1QTR0");
  const std::string text = RenderProcess(answer, Wide());
  EXPECT_NE(text.find("session      9f86d081884c7d65 by ssh as alice from 203.0.113.5, key "
                      "SHA256:nu5a7kptJrjd0fdW5quHqRhI1Sf89RDa00oyBl1QTR0\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace culprit::cli
