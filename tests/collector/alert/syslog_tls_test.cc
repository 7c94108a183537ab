// SPDX-License-Identifier: Apache-2.0
// Syslog over TLS against openssl's s_server, with certificates that openssl makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <memory>

#include "collector/alert/alert_sender.h"
#include "collector/alert/target_files.h"
#include "tests/collector/alert/alert_builder.h"
#include "tests/support/subprocess.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;
using testing_support::Background;
using testing_support::RunProgram;

class SyslogTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Make("ca", "/CN=authority", "basicConstraints=critical,CA:TRUE");
    Issue("receiver", "subjectAltName=IP:127.0.0.1,DNS:log.example");
    Issue("other", "subjectAltName=DNS:log.example");
    Issue("sender", "extendedKeyUsage=clientAuth");
  }
  std::string File(const std::string& name) const { return dir_ / name; }
  static void Run(const std::vector<std::string>& command) {
    const auto done = RunProgram(command);
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }
  void Make(const std::string& name, const std::string& subject, const std::string& extension,
            const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {"/usr/bin/openssl",
                                        "req",
                                        "-x509",
                                        "-newkey",
                                        "ec",
                                        "-pkeyopt",
                                        "ec_paramgen_curve:prime256v1",
                                        "-nodes",
                                        "-days",
                                        "2",
                                        "-subj",
                                        subject,
                                        "-addext",
                                        extension,
                                        "-keyout",
                                        File(name + ".key"),
                                        "-out",
                                        File(name + ".crt")};
    command.insert(command.end(), more.begin(), more.end());
    Run(command);
    chmod(File(name + ".key").c_str(), 0600);
  }
  void Issue(const std::string& name, const std::string& extension) const {
    Make(name, "/CN=" + name, extension, {"-CA", File("ca.crt"), "-CAkey", File("ca.key")});
  }
  // What comes is in the log, in the clear. It would end with its input: that is a pipe with
  // itself.
  void Receive(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> command = {"/bin/sh",
                                        "-c",
                                        "rm -f \"$0\"; mkfifo \"$0\"; exec \"$@\" 1>&2 0<>\"$0\"",
                                        File("input of " + name),
                                        "/usr/bin/openssl",
                                        "s_server",
                                        "-accept",
                                        "127.0.0.1:0",
                                        "-cert",
                                        File(name + ".crt"),
                                        "-key",
                                        File(name + ".key")};
    command.insert(command.end(), more.begin(), more.end());
    receiver_ = std::make_unique<Background>(command, File("received by " + name));
    ASSERT_TRUE(receiver_->AwaitLog("ACCEPT 127.0.0.1:")) << receiver_->log();
    const std::string log = receiver_->log();
    const std::size_t at = log.find("ACCEPT 127.0.0.1:") + 17;
    port_ = log.substr(at, log.find_first_not_of("0123456789", at) - at);
  }
  AlertTarget Target(const std::string& host = "127.0.0.1") const {
    AlertTarget target = MakeTarget("t", "syslog");
    target.address = "tls://" + host + ":" + port_;
    target.ca_file = File("ca.crt");
    return target;
  }
  static SendOutcome Send(const AlertTarget& target) {
    const v1::Alert alert = MakeAlert(MakeFinding());
    return MakeAlertSender(target, "1.2.3")->Send({alert, 1, {}});
  }

  const TempDir dir_;
  std::unique_ptr<Background> receiver_;
  std::string port_;
};

TEST_F(SyslogTlsTest, AFrameComesWithItsLengthAndIsTakenOnceTheReceiverHasEndedTheSession) {
  Receive("receiver");
  for (int i = 0; i < 2; ++i) {
    const SendOutcome sent = Send(Target());
    EXPECT_EQ(sent.result, SendResult::kDelivered) << sent.error;
  }
  const std::string got = receiver_->log();
  const std::size_t message = got.find("<83>1 ");
  ASSERT_NE(message, std::string::npos) << got;
  const std::size_t number = got.rfind('\n', message) + 1;
  const std::size_t length = std::stoul(got.substr(number, message - number));
  EXPECT_THAT(got.substr(message, length), HasSubstr("rule=\"ssh-relay\""));
  EXPECT_GT(length, 200U);
}

TEST_F(SyslogTlsTest, OnlyACertificateForTheReceiversNameFromAnAuthorityThatIsTrustedWillDo) {
  Receive("other");
  EXPECT_THAT(Send(Target()).error, HasSubstr("IP address mismatch"));
  Receive("receiver");
  AlertTarget target = Target();
  target.ca_file.clear();
  EXPECT_THAT(Send(target).error, HasSubstr("certificate is refused"));
  target.ca_file = File("sender.crt");
  EXPECT_THAT(Send(target).error, HasSubstr("certificate is refused"));
  EXPECT_THAT(Send(Target("localhost")).error, HasSubstr("ostname mismatch"));
  EXPECT_EQ(receiver_->log().find("<83>1 "), std::string::npos);
}

TEST_F(SyslogTlsTest, WhoMustSayWhoHeIsDoes) {
  Receive("receiver", {"-Verify", "2", "-verify_return_error", "-CAfile", File("ca.crt")});
  EXPECT_EQ(Send(Target()).result, SendResult::kFailed);
  EXPECT_EQ(receiver_->log().find("<83>1 "), std::string::npos) << "it was told before it refused";
  AlertTarget target = Target();
  target.certificate_file = File("sender.crt");
  target.key_file = File("sender.key");
  const SendOutcome sent = Send(target);
  EXPECT_EQ(sent.result, SendResult::kDelivered) << sent.error;
}

TEST_F(SyslogTlsTest, FilesAreCheckedBeforeAnythingIsSent) {
  AlertTarget target = Target();
  target.address = "tls://127.0.0.1:1";
  EXPECT_TRUE(CheckTargetFiles(target));
  target.certificate_file = File("sender.crt");
  target.key_file = File("other.key");
  EXPECT_THAT(CheckTargetFiles(target).error().message, HasSubstr("not the key of"));
  target.key_file = File("sender.key");
  EXPECT_TRUE(CheckTargetFiles(target));
  chmod(File("sender.key").c_str(), 0644);
  EXPECT_THAT(CheckTargetFiles(target).error().message, HasSubstr("chmod 0640"));
  chmod(File("sender.key").c_str(), 0600);
  target.ca_file = File("sender.key");
  EXPECT_THAT(CheckTargetFiles(target).error().message, HasSubstr("no certificates in PEM form"));
  Run({"/usr/bin/openssl", "ec", "-in", File("sender.key"), "-out", File("locked.key"), "-aes128",
       "-passout", "pass:secret"});
  chmod(File("locked.key").c_str(), 0600);
  target.ca_file = File("ca.crt");
  target.key_file = File("locked.key");
  EXPECT_THAT(CheckTargetFiles(target).error().message, HasSubstr("without a pass phrase"));
}

TEST_F(SyslogTlsTest, AReceiverThatStandsStillOrIsGoneHasTakenNothing) {
  Receive("receiver");
  const AlertTarget target = Target();
  receiver_->Signal(SIGSTOP);
  AlertTarget patient = target;
  patient.timeout = std::chrono::milliseconds(300);
  EXPECT_EQ(Send(patient).result, SendResult::kFailed) << "it stands still before the handshake";
  receiver_->Signal(SIGKILL);
  receiver_->Wait();
  EXPECT_THAT(Send(target).error, HasSubstr("refused"));
}

}  // namespace
}  // namespace culprit::testing
