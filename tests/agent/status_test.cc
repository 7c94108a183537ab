// SPDX-License-Identifier: Apache-2.0
#include "agent/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "agent/json_writer.h"

namespace culprit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

AgentStatus Sample() {
  AgentStatus status;
  status.version = "0.1.0";
  status.pid = 42;
  status.host.hostname = "web\x1b[31m\"1\"";
  status.collector = "192.0.2.1:7443";
  status.sender.last_error = "connection refused";
  status.degraded = {"spool: No space left on device, since 2026-01-01T00:00:00.000Z"};
  status.fidelity.hooks = {
      {"sock_send_length", false, "kernel before 6.3: owner is the creator", false},
      {"sched_process_exec", true, "", true}};
  status.lanes[0] = {.oldest_seq = 5, .newest_seq = 9, .acked_seq = 4};
  status.losses = {{"spool cap", 7}, {"ring full", 0}};
  status.counters = {{"kernel records", 1234}};
  status.processes = {
      {"sensor", 42, {.cpu_us = 1'500'000, .rss_bytes = 9 << 20, .pss_bytes = 7 << 20}}};
  status.uptime_ms = 100'000;
  status.costs_measured = true;
  status.program_costs = {{"on_exec", 10, 9690}, {"egress", 10'000'000, 1'000'000'000}};
  InterfaceFacts eth0;
  eth0.netns = 4026531840U;
  eth0.ifindex = 2;
  eth0.name = "eth0";
  eth0.readable = true;
  eth0.tx.bytes = {3 << 20, 2 << 10, 1 << 20, 0};
  eth0.tx.interface_bytes = (5 << 20) + (2 << 10);
  eth0.rx.bytes = {1'000, 0, 0, 0};
  eth0.rx.interface_bytes = 800;
  InterfaceFacts gone = eth0;
  gone.name = "veth1";
  gone.readable = false;
  status.coverage =
      CoverageFacts{BootTimeFromNs(70'000'000'000), BootTimeFromNs(10'000'000'000), {eth0, gone}};
  return status;
}

TEST(StatusText, ShowsWhatIsWrongFirstAndEscapesWhatTheHostWrote) {
  const std::string text = StatusText(Sample());
  EXPECT_THAT(text,
              AllOf(HasSubstr("DEGRADED   spool: No space left on device"),
                    HasSubstr("NOT CONNECTED"), HasSubstr("missing  sock_send_length"),
                    HasSubstr("spool cap"), HasSubstr("969 ns each"), HasSubstr("(5 waiting)"),
                    Not(HasSubstr("\x1b")), Not(HasSubstr("ring full"))));
}

TEST(StatusText, ShowsWhatPassedEachInterfaceAndWhoIsKnownForIt) {
  const std::string text = StatusText(Sample());
  EXPECT_THAT(text, AllOf(HasSubstr("L3 bytes of 1m"), HasSubstr("1.0 MiB (19.99 %)"),
                          HasSubstr("-200 B (-25.00 %)"), HasSubstr("cannot be read")));
  const std::string json = StatusJson(Sample());
  EXPECT_THAT(json, AllOf(HasSubstr(R"("forwarded_bytes":1048576)"),
                          HasSubstr(R"("residual_bytes":-200)"), HasSubstr(R"("readable":false)")));
}

TEST(StatusText, ShowsWhatTheAgentCosts) {
  AgentStatus status = Sample();
  EXPECT_THAT(StatusText(status),
              AllOf(HasSubstr("CPU 1.50 s (1.500 %)"), HasSubstr("100 ns each, 1.000 %"),
                    HasSubstr("1.000 %, in the context of whoever causes it")));
  status.costs_measured = false;
  EXPECT_THAT(StatusText(status), AllOf(HasSubstr("not measured"), Not(HasSubstr("ns each"))));
}

TEST(StatusJson, IsOneObjectWithEscapedText) {
  const std::string json = StatusJson(Sample());
  EXPECT_THAT(json,
              AllOf(HasSubstr(R"("hostname":"web\u001b[31m\"1\"")"), HasSubstr(R"("spool cap":7)"),
                    HasSubstr(R"("evidence":{"oldest_seq":5,"newest_seq":9,"acked_seq":4})"),
                    HasSubstr(R"("connected":false)"), HasSubstr(R"("pss_bytes":7340032)")));
}

TEST(JsonWriter, SeparatesAndNests) {
  JsonWriter json;
  json.Open('{');
  json.Key("a").Open('[');
  json.Number(1);
  json.Open('{').Close('}');
  json.Text("x");
  json.Close(']');
  json.Field("b", std::uint64_t{2});
  json.Close('}');
  EXPECT_EQ(json.text(), R"({"a":[1,{},"x"],"b":2})");
}

class StatusSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "culprit-status.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    // Longer than a socket address can hold.
    directory_ = name + "/" + std::string(150, 'd');
    std::filesystem::create_directory(directory_);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string directory_, root_;
};

TEST_F(StatusSocketTest, AnswersInBothFormsAndIsForItsUserOnly) {
  auto server = StatusServer::Listen(directory_);
  ASSERT_TRUE(server.has_value()) << server.error().message;
  struct stat st {};
  ASSERT_EQ(stat((directory_ + "/status.sock").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
  std::jthread loop([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd fd{(*server)->poll_fd(), POLLIN, 0};
      if (poll(&fd, 1, 20) > 0) (*server)->Serve(Sample);
    }
  });
  const auto text = AskStatus(directory_, StatusForm::kText);
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_EQ(*text, StatusText(Sample()));
  const auto json = AskStatus(directory_, StatusForm::kJson);
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(*json, StatusJson(Sample()) + "\n");
}

TEST_F(StatusSocketTest, WithoutAnAgentItSaysSo) {
  EXPECT_THAT(AskStatus(directory_, StatusForm::kText).error().message, HasSubstr("no agent runs"));
  EXPECT_EQ(AskStatus(root_ + "/none", StatusForm::kText).error().code, Code::kNotFound);
  // A socket that a killed agent left behind.
  auto server = StatusServer::Listen(directory_);
  ASSERT_TRUE(server.has_value());
  EXPECT_TRUE(StatusServer::Listen(directory_).has_value());
}

}  // namespace
}  // namespace culprit
