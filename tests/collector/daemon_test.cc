// SPDX-License-Identifier: Apache-2.0
// culprit-collector and culprit as programs, over loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>

#include "common/file.h"
#include "common/unique_fd.h"
#include "tests/support/subprocess.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::Background;
using testing_support::Outcome;
using testing_support::RunProgram;

class DaemonTest : public testing::Test {
 protected:
  std::string data() const { return dir_.path() + "/data"; }
  std::string pki() const { return data() + "/pki"; }
  std::string collector_address() const { return "127.0.0.1:" + std::to_string(port_); }

  Outcome Collector(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), COLLECTOR_BINARY);
    return RunProgram(arguments, {"NOTIFY_SOCKET", "JOURNAL_STREAM"});
  }
  Outcome Culprit(std::vector<std::string> arguments, const std::string& credentials) const {
    arguments.insert(arguments.begin(), CULPRIT_BINARY);
    arguments.insert(arguments.end(),
                     {"--collector", collector_address(), "--credentials", credentials});
    return RunProgram(arguments);
  }
  void Init() const {
    const Outcome outcome = Collector({"init", "--dir", pki()});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  std::vector<std::string> RunCommand() const {
    return {COLLECTOR_BINARY, "run", "--config", ConfigFile(), "--listen", "127.0.0.1:0"};
  }
  std::string ConfigFile() const {
    const std::string path = dir_.path() + "/collector.toml";
    std::ofstream(path) << "data_dir = \"" << data()
                        << "\"\nlisten = \"127.0.0.1:0\"\n[disk]\nwarn_free = 0\n"
                        << "critical_free = 0\n";
    return path;
  }
  // Starts a collector and finds its port in the log.
  std::unique_ptr<Background> Start(const std::vector<std::string>& environment = {
                                        "NOTIFY_SOCKET", "JOURNAL_STREAM"}) {
    auto daemon = std::make_unique<Background>(RunCommand(), dir_.path() + "/log", environment);
    EXPECT_TRUE(daemon->AwaitLog("collector ready")) << daemon->log();
    const std::string log = daemon->log();
    const auto at = log.rfind(" port=");
    port_ = at == std::string::npos ? 0 : std::stoi(log.substr(at + 6));
    return daemon;
  }

  TempDir dir_;
  int port_ = 0;
};

TEST_F(DaemonTest, InitRunAskStop) {
  Init();
  const auto daemon = Start();
  const Outcome hosts = Culprit({"hosts"}, pki());
  EXPECT_EQ(hosts.exit_code, 0) << hosts.err;
  EXPECT_THAT(hosts.out, testing::StartsWith("HOST"));
  EXPECT_THAT(hosts.err, HasSubstr("no host has reported yet"));
  EXPECT_EQ(Culprit({"hosts", "--json"}, pki()).out, "");
  const Outcome status = Culprit({"status"}, pki());
  EXPECT_EQ(status.exit_code, 0) << status.err;
  EXPECT_THAT(status.out, AllOf(HasSubstr("agents connected     0"), HasSubstr("up to date")));
  EXPECT_EQ(Culprit({"flows"}, pki()).exit_code, 3);
  EXPECT_EQ(Culprit({"who", "192.0.2.1"}, pki()).exit_code, 3);
  EXPECT_EQ(Culprit({"process", "00000000000000ff"}, pki()).exit_code, 3);
  EXPECT_EQ(Culprit({"top", "--once"}, pki()).exit_code, 0);
  daemon->Signal(SIGTERM);
  EXPECT_EQ(daemon->Wait(), 0) << daemon->log();
  EXPECT_THAT(daemon->log(), HasSubstr("collector stopped"));
  EXPECT_EQ(Culprit({"hosts"}, pki()).exit_code, 4) << "nothing listens any more";
}

TEST_F(DaemonTest, AHangUpReadsTheConfigurationAgainAndABrokenOneChangesNothing) {
  Init();
  const auto daemon = Start();
  const std::string path = ConfigFile(), good = *ReadWholeFile(path, 4096);
  std::ofstream(path) << "log_level = \"debug\"\nlisten = \"127.0.0.1:1\"\n"
                      << good.substr(0, good.find("listen")) << good.substr(good.find("[disk]"));
  daemon->Signal(SIGHUP);
  ASSERT_TRUE(daemon->AwaitLog("changed=\"log_level\"")) << daemon->log();
  // --listen of the command line holds before and after: it is no change.
  EXPECT_THAT(daemon->log(), testing::Not(HasSubstr("after a restart")));
  std::ofstream(path) << good << "[index]\npart_rows = 10000\nmax_bytes = true\n";
  daemon->Signal(SIGHUP);
  ASSERT_TRUE(daemon->AwaitLog("not reloaded, nothing was changed")) << daemon->log();
  EXPECT_THAT(Culprit({"status"}, pki()).out,
              AllOf(HasSubstr("was refused"), HasSubstr("index.max_bytes")));
  std::ofstream(path) << good << "[index]\npart_rows = 10000\n";
  daemon->Signal(SIGHUP);
  ASSERT_TRUE(daemon->AwaitLog("takes effect after a restart: index.part_rows")) << daemon->log();
  EXPECT_THAT(Culprit({"status"}, pki()).out,
              AllOf(testing::Not(HasSubstr("was refused")), HasSubstr("index.part_rows")));
  daemon->Signal(SIGTERM);
  EXPECT_EQ(daemon->Wait(), 0) << daemon->log();
}

// Another certificate of the same CA, while the collector runs; then one that cannot be used.
TEST_F(DaemonTest, AHangUpReadsTheCertificateAgain) {
  Init();
  const auto daemon = Start();
  for (const char* file : {"/server.pem", "/server.key"})
    std::filesystem::rename(pki() + file, pki() + file + ".old");
  Init();
  daemon->Signal(SIGHUP);
  ASSERT_TRUE(daemon->AwaitLog("certificate=new")) << daemon->log();
  EXPECT_EQ(Culprit({"hosts"}, pki()).exit_code, 0);
  std::filesystem::copy_file(pki() + "/server.key.old", pki() + "/server.key",
                             std::filesystem::copy_options::overwrite_existing);
  daemon->Signal(SIGHUP);
  ASSERT_TRUE(daemon->AwaitLog("not reloaded, nothing was changed")) << daemon->log();
  const Outcome status = Culprit({"status"}, pki());
  EXPECT_EQ(status.exit_code, 0) << status.err;
  EXPECT_THAT(status.out, HasSubstr("server.key"));
}

TEST_F(DaemonTest, SecondInitChangesNothing) {
  Init();
  const auto before = std::filesystem::last_write_time(pki() + "/ca.pem");
  const Outcome again = Collector({"init", "--dir", pki()});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.out, HasSubstr("already initialised"));
  EXPECT_EQ(std::filesystem::last_write_time(pki() + "/ca.pem"), before);
}

TEST_F(DaemonTest, RunWithoutInitSaysWhatToRun) {
  const Outcome outcome = RunProgram(RunCommand());
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("culprit-collector init"));
}

TEST_F(DaemonTest, SecondCollectorOnTheSameDataIsRefusedWithThePidOfTheFirst) {
  Init();
  const auto daemon = Start();
  const Outcome second = RunProgram(RunCommand());
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr("is in use by pid " + std::to_string(daemon->pid())));
  EXPECT_EQ(Collector({"reindex", "--config", ConfigFile()}).exit_code, 1);
  EXPECT_EQ(Collector({"verify", "--config", ConfigFile()}).exit_code, 0)
      << "may run beside the collector";
}

TEST_F(DaemonTest, PortInUseIsSaidSo) {
  Init();
  const UniqueFd taken(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(taken.get(), 1), 0);
  ASSERT_EQ(getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const Outcome outcome =
      Collector({"run", "--config", ConfigFile(), "--listen", "127.0.0.1:" + port});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(port), HasSubstr("in use")));
}

TEST_F(DaemonTest, OnlyOperatorsOfThisCollectorAreAnswered) {
  Init();
  const auto daemon = Start();
  // An agent's certificate in an operator's place.
  const std::string agent = dir_.path() + "/agent";
  ASSERT_EQ(
      Collector({"issue", "agent", "web-1", "--config", ConfigFile(), "--out", agent}).exit_code,
      0);
  std::filesystem::rename(agent + "/agent.pem", agent + "/operator.pem");
  std::filesystem::rename(agent + "/agent.key", agent + "/operator.key");
  const Outcome as_agent = Culprit({"hosts"}, agent);
  EXPECT_EQ(as_agent.exit_code, 5);
  EXPECT_THAT(as_agent.err, HasSubstr("culprit-collector issue operator NAME"));
  // Credentials of another collector.
  const std::string other = dir_.path() + "/other";
  ASSERT_EQ(Collector({"init", "--dir", other}).exit_code, 0);
  const Outcome foreign = Culprit({"hosts"}, other);
  EXPECT_EQ(foreign.exit_code, 5);
  EXPECT_THAT(foreign.err, HasSubstr("another collector"));
  // The right CA with a certificate of another one.
  std::filesystem::copy_file(pki() + "/ca.pem", other + "/ca.pem",
                             std::filesystem::copy_options::overwrite_existing);
  const Outcome mixed = Culprit({"hosts"}, other);
  EXPECT_EQ(mixed.exit_code, 5);
  // An operator that was issued.
  const std::string alice = dir_.path() + "/alice";
  ASSERT_EQ(
      Collector({"issue", "operator", "alice", "--config", ConfigFile(), "--out", alice}).exit_code,
      0);
  EXPECT_EQ(Culprit({"hosts"}, alice).exit_code, 0);
}

TEST_F(DaemonTest, DataDirThatCannotBeMadeIsNamed) {
  Init();
  std::ofstream(dir_.path() + "/file") << "x";
  const Outcome outcome = Collector(
      {"run", "--config", ConfigFile(), "--pki", pki(), "--dir", dir_.path() + "/file/data"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("data_dir"), HasSubstr("/file")));
}

TEST_F(DaemonTest, ConfigurationMistakesEndWithTwo) {
  const std::string path = dir_.path() + "/bad.toml";
  std::ofstream(path) << "\n[journal]\nmax_byte = 1\nsegment_bytes = \"big\"\n";
  const Outcome outcome = Collector({"run", "--config", path});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("bad.toml:3: unknown key \"journal.max_byte\""),
                                 HasSubstr("bad.toml:4: journal.segment_bytes: expected a size")));
  EXPECT_EQ(Collector({"run", "--listen", "nonsense"}).exit_code, 2);
  EXPECT_EQ(Collector({"run", "--frobnicate"}).exit_code, 2);
  EXPECT_EQ(Collector({}).exit_code, 2);
}

TEST_F(DaemonTest, CheckConfigPrintsTheEffectiveConfiguration) {
  EXPECT_EQ(Collector({"check-config", "--config", ConfigFile()}).exit_code, 2)
      << "no certificates yet";
  Init();
  const Outcome outcome = Collector({"check-config", "--config", ConfigFile()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("data_dir = \"" + data() + "\""),
                                 HasSubstr("certificates: fine until")));
}

TEST_F(DaemonTest, TellsSystemdAndWritesForTheJournal) {
  Init();
  const std::string path = dir_.path() + "/notify";
  const UniqueFd receiver(socket(AF_UNIX, SOCK_DGRAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(bind(receiver.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const auto daemon = Start({"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=4000000", "JOURNAL_STREAM"});
  const auto read = [&receiver] {
    char text[256];
    const ssize_t n = recv(receiver.get(), text, sizeof(text), 0);
    return std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  };
  EXPECT_EQ(read(), "READY=1\nSTATUS=listening on port " + std::to_string(port_));
  EXPECT_EQ(read(), "WATCHDOG=1");
  const auto next = [&read] {
    std::string text = read();
    while (text == "WATCHDOG=1") text = read();
    return text;
  };
  daemon->Signal(SIGHUP);
  EXPECT_THAT(next(), testing::StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_EQ(next(), "READY=1\nSTATUS=listening on port " + std::to_string(port_));
  daemon->Signal(SIGTERM);
  EXPECT_EQ(next(), "STOPPING=1");
  EXPECT_EQ(daemon->Wait(), 0);
}

}  // namespace
}  // namespace culprit
