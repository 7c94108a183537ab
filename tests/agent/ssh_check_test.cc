// SPDX-License-Identifier: Apache-2.0
// What ssh-check shows: safe on a terminal, valid JSON and SARIF, an exit code by the worst
// finding.
#include "agent/ssh_check.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/file.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

class SshCheckTest : public ::testing::Test {
 protected:
  SshCheckTest() {
    Write("etc/passwd", "alice:x:1001:1001::/home/alice:/bin/sh\n");
    Write("etc/group", "");
    options_.root = dir_.path();
  }
  void Write(const std::string& path, const std::string& text) {
    const std::string full = dir_ / path;
    ASSERT_TRUE(MakeDirectories(full.substr(0, full.rfind('/')), 0755));
    ASSERT_TRUE(WriteFileAtomically(full, text, 0644));
  }
  PostureReport Check() {
    auto report = SshCheck(options_);
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : PostureReport{};
  }

  TempDir dir_;
  SshCheckOptions options_;
};

TEST_F(SshCheckTest, AnImageIsJudgedByItsOwnFilesAndItsProcessesAreNotLookedFor) {
  Write("etc/ssh/sshd_config", "StrictModes no\n");
  const PostureReport report = Check();
  EXPECT_FALSE(report.live);
  EXPECT_EQ(report.files, std::vector<std::string>{"/etc/ssh/sshd_config"});
  const auto json = nlohmann::json::parse(FormatPostureJson(report));
  bool found = false;
  for (const auto& finding : json.at("findings")) {
    if (finding.at("id") != "cfg.strictmodes") continue;
    found = true;
    EXPECT_EQ(finding.at("severity"), "high");
    EXPECT_EQ(finding.at("evidence")[0].at("file"), "/etc/ssh/sshd_config");
    EXPECT_EQ(finding.at("evidence")[0].at("line"), 1);
    EXPECT_EQ(finding.at("fix"), "StrictModes yes");
  }
  EXPECT_TRUE(found);
}

TEST_F(SshCheckTest, WhatAFileSaysReachesATerminalEscaped) {
  Write("etc/ssh/sshd_config",
        "Match User \x1b]0;x\x07\nStrictModes\x1b[2J no\nBanner \x1b[31m\nBanner y\n");
  const std::string text = FormatPostureText(Check());
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_NE(text.find("\\x1b"), std::string::npos);
}

TEST_F(SshCheckTest, SarifHasWhatItsReadersNeed) {
  Write("etc/ssh/sshd_config", "Match User \xff\nPermitTTY no\nMatch all\nX11Forwarding yes\n");
  const auto sarif = nlohmann::json::parse(FormatPostureSarif(Check(), "1.2.3"));
  EXPECT_EQ(sarif.at("version"), "2.1.0");
  const auto& run = sarif.at("runs").at(0);
  EXPECT_EQ(run.at("tool").at("driver").at("version"), "1.2.3");
  std::set<std::string> rules;
  for (const auto& rule : run.at("tool").at("driver").at("rules"))
    EXPECT_TRUE(rules.insert(rule.at("id")).second);
  ASSERT_FALSE(run.at("results").empty());
  for (const auto& result : run.at("results")) {
    EXPECT_EQ(rules.count(result.at("ruleId")), 1U);
    EXPECT_FALSE(result.at("message").at("text").get<std::string>().empty());
    EXPECT_TRUE(result.at("level") == "error" || result.at("level") == "warning" ||
                result.at("level") == "note");
    for (const auto& location : result.at("locations")) {
      if (!location.contains("physicalLocation")) continue;
      const std::string uri = location.at("physicalLocation").at("artifactLocation").at("uri");
      EXPECT_EQ(uri.compare(0, 8, "file:///"), 0) << uri;
    }
  }
}

TEST_F(SshCheckTest, TheExitCodeFollowsTheWorstFinding) {
  EXPECT_EQ(PostureExitCode(Severity::kInfo), 0);
  EXPECT_EQ(PostureExitCode(Severity::kLow), 10);
  EXPECT_EQ(PostureExitCode(Severity::kCritical), 13);
}

TEST_F(SshCheckTest, AUserWhoIsNotThereIsAnError) {
  Write("etc/ssh/sshd_config", "");
  options_.user = "carol";
  EXPECT_FALSE(SshCheck(options_));
}

}  // namespace
}  // namespace culprit
