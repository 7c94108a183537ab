// SPDX-License-Identifier: Apache-2.0
// One attempt against real receivers: HTTP on loopback, syslog on three transports, a program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>
#include <sstream>

#include "collector/alert/alert_body.h"
#include "collector/alert/alert_sender.h"
#include "collector/alert/signature.h"
#include "collector/alert/syslog_address.h"
#include "collector/alert/target_files.h"
#include "tests/collector/alert/alert_builder.h"
#include "tests/collector/alert/http_receiver.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SendOutcome SendTo(const AlertTarget& target, std::uint64_t attempt = 1,
                   std::stop_token stop = {}) {
  const v1::Alert alert = MakeAlert(MakeFinding());
  return MakeAlertSender(target, "1.2.3")->Send({alert, attempt, std::move(stop)});
}

std::string WriteSecret(const std::string& path, const std::string& text, mode_t mode = 0600) {
  std::ofstream(path) << text;
  chmod(path.c_str(), mode);
  return path;
}

class WebhookTest : public ::testing::Test {
 protected:
  AlertTarget Target() const {
    AlertTarget target = MakeTarget("t");
    target.url = receiver_.url();
    return target;
  }
  TempDir dir_;
  HttpReceiver receiver_;
};

TEST_F(WebhookTest, AReceiverGetsTheBodyItsKeyAndASignatureThatItCanCheck) {
  AlertTarget target = Target();
  target.secret_file = WriteSecret(dir_ / "secret", "0123456789abcdef0123\n");
  const SendOutcome sent = SendTo(target, 3);
  EXPECT_EQ(sent.result, SendResult::kDelivered) << sent.error;
  const auto got = receiver_.Await(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].path, "/hook");
  EXPECT_EQ(got[0].body, AlertBody("culprit", MakeAlert(MakeFinding())));
  const auto& headers = got[0].headers;
  EXPECT_EQ(headers.at("idempotency-key"), "4f1c09a2b7d3e865-key");
  EXPECT_EQ(headers.at("x-culprit-event"), "opened");
  EXPECT_EQ(headers.at("x-culprit-attempt"), "3");
  EXPECT_EQ(headers.at("content-type"), "application/json");
  EXPECT_EQ(headers.at("user-agent"), "culprit-collector/1.2.3");
  EXPECT_EQ(
      headers.at("x-culprit-signature"),
      SignBody("0123456789abcdef0123", std::stoll(headers.at("x-culprit-timestamp")), got[0].body));
}

TEST_F(WebhookTest, WithoutASecretNothingIsSigned) {
  EXPECT_EQ(SendTo(Target()).result, SendResult::kDelivered);
  EXPECT_EQ(receiver_.Await(1).at(0).headers.count("x-culprit-signature"), 0U);
}

struct HttpCase {
  const char* what;
  std::string answer;
  SendResult result;
  const char* error;
};

TEST_F(WebhookTest, OnlyAWholeAnswerOfSuccessIsADelivery) {
  const HttpCase cases[] = {
      {"created", Answer(201), SendResult::kDelivered, ""},
      {"server error", Answer(500, "", "oops\x1b[2J"), SendResult::kFailed,
       "HTTP status 500: oops\\x1b[2J"},
      {"not allowed", Answer(401), SendResult::kFailed, "HTTP status 401"},
      {"elsewhere", Answer(302, "Location: http://127.0.0.1:1/\r\n"), SendResult::kFailed,
       "not followed"},
      {"bad body", Answer(400), SendResult::kRefused, "HTTP status 400"},
      {"too large", Answer(413), SendResult::kRefused, "HTTP status 413"},
      {"closed without an answer", "", SendResult::kFailed, "mpty reply"},
      {"closed within an answer", "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nhalf",
       SendResult::kFailed, "transfer closed"},
      {"no HTTP", "SSH-2.0-x\r\n\r\n", SendResult::kFailed, "HTTP/0.9"},
  };
  for (const HttpCase& one : cases) {
    receiver_.Script({one.answer});
    const SendOutcome sent = SendTo(Target());
    EXPECT_EQ(sent.result, one.result) << one.what << ": " << sent.error;
    EXPECT_THAT(sent.error, HasSubstr(one.error)) << one.what;
    EXPECT_EQ(sent.error.find('\x1b'), std::string::npos);
  }
}

TEST_F(WebhookTest, RetryAfterIsPassedOnWithinAnHour) {
  receiver_.Script({Answer(429, "Retry-After: 7\r\n"), Answer(503, "Retry-After: 999999\r\n")});
  EXPECT_EQ(SendTo(Target()).retry_after, std::chrono::seconds(7));
  EXPECT_EQ(SendTo(Target()).retry_after, std::chrono::hours(1));
}

TEST_F(WebhookTest, AReceiverThatHangsEndsAtTheTimeOut) {
  receiver_.Script({HttpReceiver::kHang});
  AlertTarget target = Target();
  target.timeout = std::chrono::milliseconds(300);
  const SendOutcome sent = SendTo(target);
  EXPECT_EQ(sent.result, SendResult::kFailed);
  EXPECT_THAT(sent.error, HasSubstr("timed out"));
}

TEST_F(WebhookTest, WhoIsAskedToStopDoesNotWaitForTheTimeOut) {
  receiver_.Script({HttpReceiver::kHang});
  AlertTarget target = Target();
  target.timeout = std::chrono::seconds(600);
  std::stop_source source;
  std::jthread stopper([&] {
    receiver_.Await(1);
    source.request_stop();
  });
  EXPECT_EQ(SendTo(target, 1, source.get_token()).result, SendResult::kFailed);
}

TEST_F(WebhookTest, NothingListensOrHasTheName) {
  AlertTarget target = Target();
  target.url = "http://127.0.0.1:1/";
  EXPECT_THAT(SendTo(target).error, HasSubstr("connect"));
  target.url = "https" + receiver_.url().substr(4);
  EXPECT_EQ(SendTo(target).result, SendResult::kFailed) << "it speaks no TLS";
}

TEST_F(WebhookTest, SecretsAreReadForEachAttemptAndNeverTold) {
  AlertTarget target = Target();
  target.url.clear();
  target.url_file = dir_ / "url";
  target.secret_file = dir_ / "secret";
  EXPECT_THAT(SendTo(target).error, HasSubstr("No such file"));
  WriteSecret(target.url_file, receiver_.url() + "?token=s3cr3t\n");
  WriteSecret(target.secret_file, "too short");
  EXPECT_THAT(SendTo(target).error, AllOf(HasSubstr("fewer than 16"), Not(HasSubstr("too short"))));
  WriteSecret(target.secret_file, "0123456789abcdef0123", 0644);
  EXPECT_THAT(SendTo(target).error, AllOf(HasSubstr("chmod 0640"), Not(HasSubstr("0123456789"))));
  WriteSecret(target.secret_file, "0123456789abcdef0123");
  EXPECT_EQ(SendTo(target).result, SendResult::kDelivered);
  EXPECT_EQ(receiver_.Await(1).at(0).path, "/hook?token=s3cr3t");
  EXPECT_THAT(DestinationOf(target), Not(HasSubstr("s3cr3t")));
  target.url_file.clear();
  target.url = "https://user:s3cr3t@alerts.example:8443/T0/s3cr3t?x=s3cr3t";
  EXPECT_EQ(DestinationOf(target), "https://alerts.example:8443/...");
}

// A socket of its own, and what came to it.
struct Socket {
  Socket(int family, int type, const sockaddr* address, socklen_t size)
      : fd(socket(family, type | SOCK_CLOEXEC, 0)) {
    EXPECT_EQ(bind(fd.get(), address, size), 0);
    if (type == SOCK_STREAM) listen(fd.get(), 4);
    sockaddr_in bound{};
    socklen_t bound_size = sizeof(bound);
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &bound_size);
    port = std::to_string(ntohs(bound.sin_port));
  }
  static Socket Loopback(int type) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return {AF_INET, type, reinterpret_cast<const sockaddr*>(&address), sizeof(address)};
  }
  std::string Read(int from) const {
    std::string text(16'384, '\0');
    const ssize_t n = recv(from, text.data(), text.size(), MSG_WAITALL);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }
  UniqueFd fd;
  std::string port;
};

AlertTarget SyslogTo(const std::string& address) {
  AlertTarget target = MakeTarget("t", "syslog");
  target.address = address;
  return target;
}

TEST(SyslogSenderTest, ALocalSocketGetsOneDatagram) {
  const TempDir dir;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (dir / "log").copy(address.sun_path, sizeof(address.sun_path) - 1);
  const Socket socket(AF_UNIX, SOCK_DGRAM, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  EXPECT_EQ(SendTo(SyslogTo(dir / "log")).result, SendResult::kDelivered);
  EXPECT_THAT(socket.Read(socket.fd.get()), HasSubstr("rule=\"ssh-relay\""));
  EXPECT_THAT(SendTo(SyslogTo(dir / "none")).error, HasSubstr("No such file"));
}

TEST(SyslogSenderTest, ADatagramThatNobodyTakesIsNoDelivery) {
  Socket socket = Socket::Loopback(SOCK_DGRAM);
  const AlertTarget target = SyslogTo("udp://127.0.0.1:" + socket.port);
  EXPECT_EQ(SendTo(target).result, SendResult::kDelivered);
  EXPECT_THAT(socket.Read(socket.fd.get()), ::testing::StartsWith("<83>1 "));
  socket.fd.Reset();
  EXPECT_THAT(SendTo(target).error, HasSubstr("refused"));
}

TEST(SyslogSenderTest, AConnectionCarriesOneMessageWithItsLength) {
  Socket socket = Socket::Loopback(SOCK_STREAM);
  const AlertTarget target = SyslogTo("tcp://127.0.0.1:" + socket.port);
  std::string got;
  {
    std::jthread reader([&] {
      const UniqueFd client(accept(socket.fd.get(), nullptr, nullptr));
      got = socket.Read(client.get());
    });
    const SendOutcome sent = SendTo(target);
    EXPECT_EQ(sent.result, SendResult::kDelivered) << sent.error;
  }
  const std::size_t blank = got.find(' ');
  EXPECT_EQ(std::stoul(got.substr(0, blank)), got.size() - blank - 1);
  // Who goes without reading resets the connection.
  {
    std::jthread rude([&] {
      const UniqueFd client(accept(socket.fd.get(), nullptr, nullptr));
      pollfd waiting{client.get(), POLLIN, 0};
      poll(&waiting, 1, 5000);
    });
    EXPECT_EQ(SendTo(target).result, SendResult::kFailed);
  }
  socket.fd.Reset();
  EXPECT_THAT(SendTo(target).error, HasSubstr("refused"));
}

TEST(SyslogAddressTest, Forms) {
  EXPECT_EQ(ParseSyslogAddress("udp://192.0.2.1")->port, "514");
  EXPECT_EQ(ParseSyslogAddress("tcp://log.example")->port, "601");
  EXPECT_EQ(ParseSyslogAddress("tcp://[2001:db8::1]:6514")->host, "2001:db8::1");
  EXPECT_EQ(ParseSyslogAddress("udp://[2001:db8::1]")->host, "2001:db8::1");
  EXPECT_EQ(ParseSyslogAddress("tls://log.example")->port, "6514");
  EXPECT_EQ(ParseSyslogAddress("tls://[2001:db8::1]:99")->port, "99");
  for (const char* bad : {"", "log", "udp://", "udp://:514", "tcp://h:0", "tcp://h:99999",
                          "tcp://h:x", "tls://", "http://h", "udp://h/x", "tcp://a b"}) {
    EXPECT_FALSE(ParseSyslogAddress(bad)) << bad;
  }
}

AlertTarget Script(const TempDir& dir, const std::string& text) {
  std::ofstream(dir / "program") << "#!/bin/sh\n" << text;
  chmod((dir / "program").c_str(), 0755);
  AlertTarget target = MakeTarget("t", "command");
  target.command = {dir / "program", "two words", "$HOME"};
  return target;
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(CommandSenderTest, AProgramGetsTheBodyItsArgumentsAndNothingElse) {
  const TempDir dir;
  const AlertTarget target =
      Script(dir, "cat > " + (dir / "body") +
                      "; echo \"$1|$2|$CULPRIT_ALERT_KEY|$CULPRIT_ALERT_ATTEMPT|$HOME\" > " +
                      (dir / "seen") + "; ls /proc/self/fd | wc -l >> " + (dir / "seen") + "\n");
  const UniqueFd open_elsewhere(dup(0));
  const SendOutcome sent = SendTo(target, 2);
  EXPECT_EQ(sent.result, SendResult::kDelivered) << sent.error;
  EXPECT_EQ(ReadText(dir / "body"), AlertBody("culprit", MakeAlert(MakeFinding())));
  EXPECT_EQ(ReadText(dir / "seen"), "two words|$HOME|4f1c09a2b7d3e865-key|2|\n4\n");
}

TEST(CommandSenderTest, WhatWentWrongIsTold) {
  const TempDir dir;
  EXPECT_EQ(SendTo(Script(dir, "echo no route >&2; exit 3\n")).error, "exit code 3: no route\\n");
  EXPECT_THAT(SendTo(Script(dir, "kill -TERM $$\n")).error, HasSubstr("signal 15"));
  AlertTarget missing = Script(dir, "");
  missing.command = {dir / "none"};
  EXPECT_THAT(SendTo(missing).error, HasSubstr("No such file"));
}

TEST(CommandSenderTest, AProgramThatDoesNotReadIsStillRun) {
  const TempDir dir;
  EXPECT_EQ(SendTo(Script(dir, "exit 0\n")).result, SendResult::kDelivered);
}

TEST(CommandSenderTest, ATimeOutEndsTheProgramAndWhatItStarted) {
  const TempDir dir;
  AlertTarget target = Script(dir, "sleep 600 & echo $! > " + (dir / "child") + "; wait\n");
  target.timeout = std::chrono::milliseconds(500);
  EXPECT_THAT(SendTo(target).error, HasSubstr("ended after 500ms"));
  const pid_t child = std::stoi(ReadText(dir / "child"));
  // It dies on its own time, and its new parent may not have waited for it yet.
  const auto runs = [&] {
    const std::string state = ReadText("/proc/" + std::to_string(child) + "/stat");
    return !state.empty() && state.find(") Z ") == std::string::npos &&
           state.find(") X ") == std::string::npos;
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (runs() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(runs());
}

}  // namespace
}  // namespace culprit::testing
