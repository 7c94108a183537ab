// SPDX-License-Identifier: Apache-2.0
// Each form against tests/collector/alert/golden/NAME; CULPRIT_UPDATE_GOLDEN=1 writes them anew.
#include "collector/alert/alert_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "collector/alert/signature.h"
#include "tests/collector/alert/alert_builder.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = std::string(CULPRIT_SOURCE_DIR "/tests/collector/alert/golden/") + name;
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text << '\n';
  std::ifstream in(path);
  std::stringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(text + "\n", golden.str()) << path;
}

std::vector<v1::Alert> Alerts() {
  v1::Alert closed = MakeAlert(MakeFinding(), v1::ALERT_EVENT_CLOSED);
  closed.mutable_finding()->set_state(v1::FINDING_STATE_FALSE_POSITIVE);
  closed.mutable_finding()->set_state_by("operator");
  closed.mutable_finding()->set_state_reason("our jump host");
  closed.mutable_finding()->set_state_ns(kStart + 9 * kSecond);
  closed.set_lost_before(3);
  return {MakeAlert(MakeFinding()), closed};
}

class AlertFormatTest : public ::testing::TestWithParam<const char*> {};

TEST_P(AlertFormatTest, IsWhatItWas) {
  std::string text;
  for (const v1::Alert& alert : Alerts())
    text += (text.empty() ? "" : "\n") + AlertBody(GetParam(), alert);
  ExpectGolden(std::string(GetParam()) + ".json", text);
}

TEST_P(AlertFormatTest, WhatAHostWroteIsOneDocumentOfPlainText) {
  const std::string body = AlertBody(GetParam(), MakeAlert(MakeHostileFinding()));
  EXPECT_TRUE(nlohmann::json::accept(body)) << body;
  EXPECT_EQ(body.find_first_of("\x1b\n\x7f"), std::string::npos);
  EXPECT_EQ(body.find("\xe2\x80\xae"), std::string::npos) << "turns the direction of text around";
}

INSTANTIATE_TEST_SUITE_P(Formats, AlertFormatTest,
                         ::testing::Values("culprit", "slack", "ocsf", "ecs"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(SlackTest, NothingThatAHostWroteCallsOrLinks) {
  const std::string body = AlertBody("slack", MakeAlert(MakeHostileFinding()));
  EXPECT_THAT(body, Not(HasSubstr("<!")));
  const auto document = nlohmann::json::parse(body);
  std::vector<std::string> texts = {document["text"], document["attachments"][0]["text"]};
  for (const auto& field : document["attachments"][0]["fields"]) texts.push_back(field["value"]);
  for (const std::string& text : texts) {
    const std::string outside = std::regex_replace(text, std::regex("`[^`]*`"), "");
    EXPECT_THAT(outside, Not(HasSubstr("@channel"))) << text;
    EXPECT_THAT(outside, Not(HasSubstr("`"))) << text;
  }
}

TEST(AlertBodyTest, ATestSaysSoInEveryForm) {
  v1::Alert test = MakeAlert(MakeFinding(), v1::ALERT_EVENT_TEST);
  EXPECT_THAT(AlertBody("culprit", test), HasSubstr(R"("event":"test","test":true)"));
  EXPECT_THAT(AlertBody("slack", test), HasSubstr("TEST "));
  EXPECT_THAT(SyslogMessage(test, "user", "c", 2048), HasSubstr(" culprit - test [origin"));
}

TEST(SyslogTest, IsWhatItWas) {
  std::string text;
  for (const v1::Alert& alert : Alerts())
    text +=
        (text.empty() ? "" : "\n") + SyslogMessage(alert, "authpriv", "collector.example", 2048);
  ExpectGolden("syslog.txt", text);
}

// PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG, as RFC 5424 has them.
TEST(SyslogTest, KeepsToRfc5424AndToItsLengthWhateverAHostWrote) {
  const std::regex header(
      R"(<([0-9]{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z [!-~]{1,255} [!-~]{1,48} - [!-~]{1,32} \[origin software="culprit"\] )");
  v1::Finding hostile = MakeHostileFinding();
  for (int i = 0; i < 9; ++i) hostile.set_reason(hostile.reason() + hostile.reason());
  hostile.set_exe(hostile.reason());
  for (const std::size_t max : {512U, 2048U, 8192U}) {
    for (const v1::Finding& finding : {MakeFinding(), hostile}) {
      const std::string text = SyslogMessage(MakeAlert(finding), "local7", "a host\nname", max);
      EXPECT_LE(text.size(), max);
      EXPECT_EQ(std::count_if(text.begin(), text.end(),
                              [](char c) { return (c & 0xe0) == 0 || c == 0x7f; }),
                0)
          << text;
      // The expression is for the header alone: libstdc++ matches by recursion.
      EXPECT_TRUE(std::regex_search(text, header, std::regex_constants::match_continuous)) << text;
      EXPECT_THAT(text, HasSubstr("finding=\"4f1c09a2b7d3e865\""));
    }
  }
}

TEST(SyslogTest, PriorityIsFacilityAndSeverity) {
  EXPECT_THAT(SyslogMessage(MakeAlert(MakeFinding()), "kern", "c", 2048), HasSubstr("<3>1 "));
  EXPECT_THAT(
      SyslogMessage(MakeAlert(MakeFinding("a", v1::SEVERITY_CRITICAL)), "authpriv", "c", 2048),
      HasSubstr("<82>1 "));
  EXPECT_THAT(SyslogMessage(MakeAlert(MakeFinding("a", v1::SEVERITY_LOW)), "local7", "c", 2048),
              HasSubstr("<189>1 "));
}

// By another implementation: printf '1772323200.{"a":1}' | openssl dgst -sha256 -hmac
// 0123456789abcdef
TEST(SignatureTest, IsTheHmacOfTimeAndBody) {
  EXPECT_EQ(SignBody("0123456789abcdef", 1'772'323'200, R"({"a":1})"),
            "v1=6c40cb99f8ec8e7a33238ef0849c5948ff5cc6f7484e88b628d17cfc94e92933");
  EXPECT_NE(SignBody("0123456789abcdef", 1'772'323'201, R"({"a":1})"),
            SignBody("0123456789abcdef", 1'772'323'200, R"({"a":1})"));
}

}  // namespace
}  // namespace culprit::testing
