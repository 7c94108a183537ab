// SPDX-License-Identifier: Apache-2.0
// What `culprit answer` shows, from a report and a process of tests/collector/cli/golden.
#include "collector/cli/answer_view.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace culprit::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// 2026-03-01T00:03:04Z
constexpr std::int64_t kNow = 1'772'323'384'000'000'000;
constexpr const char* kReport =
    "DOS,i-0123456789abcdef0,2026-03-01 00:01:00 UTC,198.51.100.7,TCP,*,443,us-east-1 \x1b[2J\n";

struct Told {
  AbuseReport report = ParseAbuseReport(kReport);
  Answer answer;
  std::vector<Culprit> culprits;
};

Told Tell() {
  Told told;
  std::ifstream in(CULPRIT_SOURCE_DIR "/tests/collector/cli/golden/process.textproto");
  std::stringstream text;
  text << in.rdbuf();
  Culprit culprit;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text.str(), &culprit.process));
  v1::FlowRow flow;
  flow.set_agent_id("a");
  flow.set_host("web-1");
  flow.set_process_id(culprit.process.process().process_id());
  flow.set_flow_id("0000000000000001");
  flow.set_remote("198.51.100.7");
  flow.set_remote_port(443);
  flow.set_protocol("tcp");
  flow.set_direction("out");
  flow.set_start_ns(kNow - 130'000'000'000);
  flow.set_last_ns(kNow - 120'000'000'000);
  flow.set_tx_wire_bytes(2'000'000);
  told.answer = RankMatches(told.report, {}, {flow}, WallTimeFromNs(kNow));
  EXPECT_EQ(told.answer.matches.size(), 1U);
  if (!told.answer.matches.empty()) culprit.match = told.answer.matches[0];
  v1::FlowGroup group;
  group.set_key("203.0.113.9");
  group.set_label("203.0.113.9");
  culprit.destinations.push_back(group);
  v1::Finding finding;
  finding.set_id("4f1c09a2b7d3e865");
  finding.set_rule("flood");
  finding.set_reason("sent 9,000 packets a second\x1b[31m");
  culprit.findings.push_back(finding);
  told.culprits.push_back(culprit);
  return told;
}

TEST(AnswerViewTest, SaysWhoWhyWhatElseAndWhatToReply) {
  const Told told = Tell();
  View view;
  view.now_ns = kNow;
  const std::string text = RenderAnswer(told.report, told.answer, told.culprits, view);
  const v1::ProcessInfo& process = told.culprits[0].process.process();
  EXPECT_THAT(text, HasSubstr("The report (CSV) names instances: i-0123456789abcdef0; addresses: "
                              "198.51.100.7; times: 2026-03-01 00:01:00 UTC"));
  EXPECT_THAT(text, HasSubstr("i-0123456789abcdef0 has no agent that reports here"));
  EXPECT_THAT(text, HasSubstr(process.exe()));
  EXPECT_THAT(text, HasSubstr("started by"));
  EXPECT_THAT(text, HasSubstr("finding     4f1c09a2b7d3e865 flood: sent 9,000 packets"));
  EXPECT_THAT(text, HasSubstr("198.51.100.7:443: remote address 198.51.100.7, remote port 443"));
  EXPECT_THAT(text, HasSubstr("What else it talked to"));
  EXPECT_THAT(text, HasSubstr("203.0.113.9"));
  EXPECT_THAT(text, HasSubstr("Draft of a reply"));
}

TEST(AnswerViewTest, NothingOfTheReportOrTheHostReachesTheTerminalUnescaped) {
  const Told told = Tell();
  EXPECT_THAT(RenderAnswer(told.report, told.answer, told.culprits, View()),
              AllOf(Not(HasSubstr("\x1b")), HasSubstr("\\x1b[31m")));
}

TEST(AnswerViewTest, JsonIsOneDocumentWithEverything) {
  const Told told = Tell();
  const auto json =
      nlohmann::json::parse(AnswerJson(told.report, told.answer, told.culprits), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["report"]["shape"], "CSV");
  EXPECT_EQ(json["report"]["times"][0], "2026-03-01 00:01:00 UTC");
  const auto& match = json["matches"][0];
  EXPECT_EQ(match["process"]["process"]["process_id"],
            told.culprits[0].process.process().process_id());
  EXPECT_EQ(match["destinations"][0]["key"], "203.0.113.9");
  EXPECT_EQ(match["findings"][0]["rule"], "flood");
  EXPECT_EQ(match["best"][0]["flow"]["remote"], "198.51.100.7");
  EXPECT_THAT(json["reply"].get<std::string>(), HasSubstr("Corrective action: ["));
}

}  // namespace
}  // namespace culprit::cli
