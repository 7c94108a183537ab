// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace culprit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(AgentConfig, TheReferenceFileNamesEveryKeyWithItsDefault) {
  const std::string path = std::string(CULPRIT_SOURCE_DIR) + "/deploy/agent.toml";
  const auto reference = LoadAgentConfig(path, true);
  ASSERT_TRUE(reference.has_value()) << reference.error().message;
  EXPECT_EQ(FormatAgentConfig(*reference), FormatAgentConfig(AgentConfig{}));
  ASSERT_TRUE(ValidateAgentConfig(*reference).has_value());
  // Every key that the format knows stands in the file, with a comment above it.
  std::ifstream in(path);
  std::string line, file;
  while (std::getline(in, line)) file += line + "\n";
  std::istringstream keys(FormatAgentConfig(*reference));
  while (std::getline(keys, line)) {
    if (const auto equals = line.find(" ="); equals != std::string::npos) {
      EXPECT_THAT(file, HasSubstr("\n" + line.substr(0, equals) + " = "));
    }
  }
}

TEST(AgentConfig, WhatCheckConfigPrintsReadsBackToTheSame) {
  AgentConfig config;
  config.collector.address = "[2001:db8::1]:7443";
  config.kernel.disabled_hooks = {"sock_send_length", "x\"y\\z"};
  config.heartbeat = std::chrono::milliseconds(1500);
  config.spool.max_bytes = 12345678;
  config.kernel.measure_cost = true;
  config.sender.program = "/opt/sender";
  config.sink.prefix = "hosts/a";
  config.sink.lock = "compliance";
  config.sink.interval = std::chrono::seconds(10);
  config.sink.credentials = "/etc/culprit/sink.keys";
  const auto again = ParseAgentConfig(FormatAgentConfig(config), "printed");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(FormatAgentConfig(*again), FormatAgentConfig(config));
}

struct BadConfig {
  std::string_view name, text, position, expected;
};

TEST(AgentConfig, WrongKeysAreNamedWithLineAndWhatWasExpected) {
  const BadConfig cases[] = {
      {"unknown key", "\nstate_dri = \"/x\"\n", "agent.toml:2", "state_dir"},
      {"unknown table", "[colector]\naddress = \"\"\n", "agent.toml:", "colector"},
      {"wrong type", "[spool]\nmax_bytes = true\n", "agent.toml:2", "spool.max_bytes"},
      {"out of range", "[limits]\nmax_flows = 1\n", "agent.toml:2", "limits.max_flows"},
      {"not a choice", "[identity]\nsource = \"guess\"\n", "agent.toml:2", "machine"},
      {"number without a unit", "heartbeat = 10\n", "agent.toml:1", "heartbeat"},
      {"no lock of S3's", "[sink]\nlock = \"forever\"\n", "agent.toml:2", "compliance"},
      {"no time at all", "[sink]\ninterval = \"0s\"\n", "agent.toml:2", "sink.interval"},
      {"relative path", "state_dir = \"x\"\n", "agent.toml:1", "absolute"},
      {"syntax", "state_dir = \n", "agent.toml:1", ""},
  };
  for (const BadConfig& bad : cases) {
    const auto config = ParseAgentConfig(bad.text, "agent.toml");
    ASSERT_FALSE(config.has_value()) << bad.name;
    EXPECT_THAT(config.error().message,
                AllOf(HasSubstr(std::string(bad.position)), HasSubstr(std::string(bad.expected))))
        << bad.name;
  }
}

TEST(AgentConfig, CombinationsAreChecked) {
  for (const std::string address :
       {"collector", "collector:", ":7443", "collector:0", "collector:65536", "c:7443x"}) {
    AgentConfig config;
    config.collector.address = address;
    ASSERT_FALSE(ValidateAgentConfig(config).has_value()) << address;
  }
  AgentConfig config;
  config.collector.address = "collector.example:7443";
  EXPECT_TRUE(ValidateAgentConfig(config).has_value());
  config.spool.segment_bytes = config.spool.max_bytes;
  EXPECT_THAT(ValidateAgentConfig(config).error().message, HasSubstr("spool.segment_bytes"));
  config = {};
  config.identity.endpoint = "ftp://x";
  EXPECT_THAT(ValidateAgentConfig(config).error().message, HasSubstr("identity.endpoint"));
}

TEST(AgentConfig, AMissingFileIsAnErrorOnlyIfItWasNamed) {
  EXPECT_TRUE(LoadAgentConfig("/nonexistent/agent.toml", false).has_value());
  EXPECT_FALSE(LoadAgentConfig("/nonexistent/agent.toml", true).has_value());
}

TEST(AgentConfig, TheMachineIsCheckedToo) {
  std::string directory =
      (std::filesystem::temp_directory_path() / "culprit-config.XXXXXX").string();
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  AgentConfig config;
  config.state_dir = directory + "/state";
  config.collector.address = "192.0.2.1:7443";
  config.collector.ca = directory + "/missing.pem";
  config.kernel.cgroup_path = directory;
  config.kernel.btf_path = directory + "/no-btf";
  const auto findings = CheckAgentConfig(config);
  const auto errors = [&](const std::string& part) {
    return std::any_of(findings.begin(), findings.end(), [&](const ConfigFinding& finding) {
      return finding.level == ConfigFinding::Level::kError &&
             finding.what.find(part) != std::string::npos;
    });
  };
  EXPECT_TRUE(errors("missing.pem"));
  EXPECT_TRUE(errors("not a cgroup2 mount"));
  EXPECT_TRUE(errors("CONFIG_DEBUG_INFO_BTF"));
  std::filesystem::remove_all(directory);
}

TEST(AgentConfig, EvidenceGoesToACollectorOrToASink) {
  AgentConfig config;
  config.sink.bucket = "evidence";
  const Status without_region = ValidateAgentConfig(config);
  ASSERT_FALSE(without_region.has_value());
  EXPECT_THAT(without_region.error().message, HasSubstr("sink.region"));
  config.sink.region = "eu-central-1";
  EXPECT_TRUE(ValidateAgentConfig(config).has_value());
  EXPECT_TRUE(config.Sends());
  config.collector.address = "192.0.2.1:7443";
  const Status both = ValidateAgentConfig(config);
  ASSERT_FALSE(both.has_value());
  EXPECT_THAT(both.error().message, HasSubstr("one of the two"));
}

}  // namespace
}  // namespace culprit
