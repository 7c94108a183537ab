// SPDX-License-Identifier: Apache-2.0
#include "agent/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

AgentConfig Parse(const std::string& text) {
  auto config = ParseAgentConfig("[collector]\naddress = \"192.0.2.1:7443\"\n" + text, "test");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(AgentConfig());
}

TEST(AgentReloadTest, WhatCanChangeIsTakenOver) {
  const std::string first = FormatAgentConfig(Parse(""));
  for (const char* text : {"server_name = \"x\"", "certificate = \"/x\"",
                           "[sender]\ndrain = \"1s\"", "[spool]\nmax_bytes = \"1 GiB\"",
                           "[ssh]\nenabled = false", "[metrics]\ntextfile = \"/x/y.prom\""}) {
    AgentConfig now = Parse("");
    const AgentConfig file = Parse(text);
    EXPECT_THAT(AdoptLive(file, &now), IsEmpty()) << text;
    EXPECT_EQ(FormatAgentConfig(now), FormatAgentConfig(file)) << text;
    EXPECT_NE(FormatAgentConfig(now), first) << text;
  }
  AgentConfig now, file;
  file.log_level = "debug";
  file.heartbeat = std::chrono::seconds(1);
  file.canary = std::chrono::seconds(0);
  EXPECT_THAT(AdoptLive(file, &now), IsEmpty());
  EXPECT_EQ(FormatAgentConfig(now), FormatAgentConfig(file));
}

TEST(AgentReloadTest, WhatCannotIsNamedAndStaysAsItIs) {
  AgentConfig now = Parse("");
  const AgentConfig file =
      Parse("[kernel]\nmeasure_cost = true\n[limits]\nmax_flows = 64\n[packets]\nenabled = true\n");
  EXPECT_THAT(AdoptLive(file, &now),
              ElementsAre("kernel.measure_cost", "limits.max_flows", "packets.enabled"));
  EXPECT_FALSE(now.kernel.measure_cost);
  AgentConfig alone;
  EXPECT_THAT(AdoptLive(file, &alone), ElementsAre("collector.address", "kernel.measure_cost",
                                                   "limits.max_flows", "packets.enabled"))
      << "an agent without a collector gets none while it runs";
}

TEST(AgentReloadTest, ASinkChangesWhileTheAgentRuns) {
  const std::string sink = "[sink]\nbucket = \"evidence\"\nregion = \"eu-central-1\"\n";
  AgentConfig now = *ParseAgentConfig(sink, "test");
  const AgentConfig file = *ParseAgentConfig(sink + "interval = \"5s\"\n", "test");
  EXPECT_THAT(AdoptLive(file, &now), IsEmpty());
  EXPECT_EQ(now.sink.interval, std::chrono::seconds(5));
  const TempDir directory;
  SenderOptions options;
  options.sink = now.sink;
  options.sink.credentials = directory / "keys";
  const std::string before = SenderMark(options);
  std::ofstream(options.sink.credentials) << "other keys";
  const std::string rotated = SenderMark(options);
  EXPECT_NE(rotated, before);
  options.sink.retention_days = 1;
  EXPECT_NE(SenderMark(options), rotated);
}

TEST(AgentReloadTest, ASenderIsAnotherOneWithOtherCertificatesUnderTheSameName) {
  const TempDir directory;
  SenderOptions options;
  options.certificate_path = directory / "agent.pem";
  std::ofstream(options.certificate_path) << "one";
  const std::string before = SenderMark(options);
  EXPECT_EQ(SenderMark(options), before);
  std::ofstream(options.certificate_path) << "two";
  EXPECT_NE(SenderMark(options), before);
  std::ofstream(options.certificate_path) << "one";
  options.collector = "192.0.2.1:7443";
  EXPECT_NE(SenderMark(options), before);
}

}  // namespace
}  // namespace culprit
