// SPDX-License-Identifier: Apache-2.0
#include "agent/enrol_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/enrol/agent_key.h"
#include "agent/enrol_worker.h"
#include "common/file.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;

class EnrolCommandTest : public ::testing::Test {
 protected:
  EnrolCommand Command() const {
    EnrolCommand command;
    command.config.identity.source = "machine";
    command.config.collector.address = "127.0.0.1:1";
    command.config.collector.ca = directory_ / "keys/ca.pem";
    command.config.collector.certificate = directory_ / "keys/agent.pem";
    command.config.collector.key = directory_ / "keys/agent.key";
    command.config.sender.program = "/nowhere/culprit-agent-sender";
    command.token = "culprit-join-0";
    command.ca_fingerprint = std::string(64, 'a');
    return command;
  }
  TempDir directory_;
};

TEST_F(EnrolCommandTest, WhatIsMissingIsSaidBeforeAnybodyIsAsked) {
  struct Case {
    void (*change)(EnrolCommand*);
    const char* words;
  };
  const Case cases[] = {
      {[](EnrolCommand* c) { c->ca_fingerprint.clear(); }, "--ca-fingerprint SHA256"},
      {[](EnrolCommand* c) { c->ca_fingerprint = "abc"; }, "64 hexadecimal digits"},
      {[](EnrolCommand* c) { c->token.clear(); }, "join token"},
      {[](EnrolCommand* c) { c->config.collector.address.clear(); }, "where is the collector"},
  };
  for (const Case& c : cases) {
    EnrolCommand command = Command();
    c.change(&command);
    const auto done = RunEnrol(command);
    ASSERT_FALSE(done) << c.words;
    EXPECT_EQ(done.error().code, Code::kInvalidArgument) << done.error().message;
    EXPECT_THAT(done.error().message, HasSubstr(c.words));
  }
}

TEST_F(EnrolCommandTest, TheKeyIsMadeOnceAndForRootAlone) {
  const EnrolCommand command = Command();
  EXPECT_FALSE(RunEnrol(command));  // there is no sender to ask with
  const std::string& path = command.config.collector.key;
  const auto key = ReadWholeFile(path, 4096);
  ASSERT_TRUE(key) << key.error().message;
  struct stat st {};
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
  EXPECT_FALSE(RunEnrol(command));
  EXPECT_EQ(*ReadWholeFile(path, 4096), *key) << "an answer that was lost is asked for by it";
  EXPECT_TRUE(MakeSigningRequest(*key, "machine-1"));
}

TEST_F(EnrolCommandTest, TheFileOfTheInstallerSaysHowToEnrol) {
  EnrolCommand command;
  ReadEnrolFile("# note\nCULPRIT_CA_SHA256=ab\nOTHER=x\nCULPRIT_TOKEN=culprit-join-1", &command);
  EXPECT_EQ(command.ca_fingerprint, "ab");
  EXPECT_EQ(command.token, "culprit-join-1");
  const AgentConfig config = Command().config;
  EXPECT_EQ(EnrolWorker::StartIfAsked(config, "0"), nullptr) << "nobody asked";
  ASSERT_TRUE(MakeDirectories(directory_ / "keys", 0700));
  ASSERT_TRUE(WriteFileAtomically(directory_ / "keys/enrol", "CULPRIT_TOKEN=x\n"));
  EXPECT_NE(EnrolWorker::StartIfAsked(config, "0"), nullptr);
  ASSERT_TRUE(WriteFileAtomically(config.collector.certificate, "there"));
  EXPECT_EQ(EnrolWorker::StartIfAsked(config, "0"), nullptr) << "enrolled already";
}

TEST(EnrolAddressTest, IsThePortAboveUnlessItIsSaid) {
  AgentConfig config;
  EXPECT_FALSE(config.EnrolAddress());
  for (const auto& [address, enrol] : std::vector<std::pair<std::string, std::string>>{
           {"192.0.2.1:7443", "192.0.2.1:7444"},
           {"[2001:db8::1]:7443", "[2001:db8::1]:7444"},
           {"collector.example:443", "collector.example:444"}}) {
    config.collector.address = address;
    EXPECT_EQ(*config.EnrolAddress(), enrol);
  }
  config.collector.enrol_address = "192.0.2.2:9";
  EXPECT_EQ(*config.EnrolAddress(), "192.0.2.2:9");
}

}  // namespace
}  // namespace culprit
