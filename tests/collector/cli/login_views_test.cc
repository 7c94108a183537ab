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
  ExpectGolden("session", RenderSession(answer, Wide()));
  ExpectGolden("session_100", RenderSession(answer, Terminal(100)));
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
