// SPDX-License-Identifier: Apache-2.0
// Over real sockets, by hand: what a client of HTTP would hide is the point.
#include "collector/metrics/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "common/unique_fd.h"

namespace culprit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = HttpServer::Start("127.0.0.1:0", [](std::string_view path) {
      std::optional<HttpAnswer> answer;
      if (path == "/metrics") answer = HttpAnswer{200, "text/plain", "a 1\n"};
      if (path == "/healthz") answer = HttpAnswer{503, "application/json", "{}\n"};
      return answer;
    });
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }

  UniqueFd Connect() const {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(server_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // What comes until the server closes.
  static std::string Read(const UniqueFd& fd) {
    std::string out;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0;)
      out.append(buffer.data(), static_cast<std::size_t>(n));
    return out;
  }
  std::string Ask(const std::string& request) const {
    const UniqueFd fd = Connect();
    EXPECT_EQ(send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    return Read(fd);
  }
  std::string Get(const std::string& path) const {
    return Ask("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }

  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, PathsAreAnsweredWithTheirStatusTypeAndBody) {
  EXPECT_THAT(Get("/metrics"), AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("\r\n\r\na 1\n"),
                                     HasSubstr("Content-Type: text/plain\r\n")));
  EXPECT_THAT(Get("/healthz?verbose=1"), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("{}\n")));
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get("/metrics/../secret"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(HttpServerTest, HeadHasTheHeadersWithoutABody) {
  EXPECT_THAT(Ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Length: 4\r\n"),
                    Not(HasSubstr("a 1"))));
}

TEST_F(HttpServerTest, NothingIsTaken) {
  EXPECT_THAT(Ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
              Not(HasSubstr(" 200 ")));
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"),
              Not(HasSubstr(" 200 ")));
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\nA: " + std::string(20'000, 'a') + "\r\n\r\n"),
              Not(HasSubstr(" 200 ")));
  EXPECT_THAT(Ask("\x16\x03\x01 no HTTP at all\r\n\r\n"), Not(HasSubstr(" 200 ")));
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200 ")) << "others are answered all the same";
}

TEST_F(HttpServerTest, WhoSaysNothingHoldsUpNobodyAndNoStop) {
  const UniqueFd silent = Connect(), half = Connect();
  ASSERT_GT(send(half.get(), "GET /met", 8, MSG_NOSIGNAL), 0);
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200 "));
  server_.reset();
  EXPECT_EQ(Read(silent), "");
}

TEST_F(HttpServerTest, WhyItCannotListenIsSaid) {
  const auto taken = HttpServer::Start("127.0.0.1:" + std::to_string(server_->port()), {});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kAlreadyExists);
  const auto wrong = HttpServer::Start("somewhere", {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace culprit
