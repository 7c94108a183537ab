// SPDX-License-Identifier: Apache-2.0
// IMDSv2 is a double on loopback; nothing here asks a real metadata service.
#include "agent/identity.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/daemon.h"
#include "agent/imds/http_get.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kDocument = R"({
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "ap-south-1a",
  "imageId" : "ami-0abc",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "t3.micro",
  "region" : "ap-south-1"
})";

// Answers each connection with the next of `answers`; "" closes without a word, "hang" says
// nothing.
class ImdsDouble {
 public:
  explicit ImdsDouble(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listener_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { Serve(); });
  }
  ~ImdsDouble() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> requests;  // read after the double has answered them all

 private:
  void Serve() {
    for (const std::string& answer : answers_) {
      const UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) return;
      std::string request(4096, '\0');
      const ssize_t n = recv(client.get(), request.data(), request.size(), 0);
      request.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      requests.push_back(request);
      if (answer == "hang") {
        pollfd fd{client.get(), POLLIN, 0};
        poll(&fd, 1, 10'000);  // until the asker gives up
      } else if (!answer.empty()) {
        send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    }
  }
  std::vector<std::string> answers_;
  UniqueFd listener_;
  int port_ = 0;
  std::jthread thread_;
};

std::string Http(std::string_view body, std::string_view status = "200 OK") {
  return "HTTP/1.1 " + std::string(status) +
         "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

IdentityOptions Options(const ImdsDouble& imds) {
  IdentityOptions options;
  options.source = "imds";
  options.endpoint = imds.endpoint();
  options.retries = {};
  options.timeout = milliseconds(5000);
  return options;
}

TEST(Identity, TokenThenDocumentThenPublicAddress) {
  ImdsDouble imds({Http("TOKEN=="), Http(kDocument), Http("203.0.113.77")});
  const auto facts = AskImds(Options(imds), HostFacts{});
  ASSERT_TRUE(facts.has_value()) << facts.error().message;
  EXPECT_EQ(facts->identity_source, "imds");
  EXPECT_EQ(facts->instance_id, "i-0123456789abcdef0");
  EXPECT_EQ(facts->account_id, "123456789012");
  EXPECT_EQ(facts->region, "ap-south-1");
  EXPECT_EQ(facts->availability_zone, "ap-south-1a");
  EXPECT_EQ(facts->image_id, "ami-0abc");
  EXPECT_EQ(facts->instance_type, "t3.micro");
  EXPECT_EQ(facts->public_address.ToString(), "203.0.113.77");
  ASSERT_EQ(imds.requests.size(), 3U);
  EXPECT_THAT(imds.requests[0], StartsWith("PUT /latest/api/token HTTP/1.1\r\n"));
  EXPECT_THAT(imds.requests[0], HasSubstr("X-aws-ec2-metadata-token-ttl-seconds: 60\r\n"));
  EXPECT_THAT(imds.requests[1], HasSubstr("X-aws-ec2-metadata-token: TOKEN==\r\n"));
}

TEST(Identity, WithoutAPublicAddressTheRestStillHolds) {
  ImdsDouble imds({Http("T"), Http(kDocument), Http("<html>", "404 Not Found")});
  HostFacts before;
  before.public_address = *IpAddress::Parse("203.0.113.77");
  const auto facts = AskImds(Options(imds), before);
  ASSERT_TRUE(facts.has_value()) << facts.error().message;
  EXPECT_EQ(facts->instance_id, "i-0123456789abcdef0");
  EXPECT_TRUE(facts->public_address.IsUnspecified());
}

TEST(Identity, APublicAddressThatMovesIsAnnounced) {
  ImdsDouble imds({Http("T"), Http(kDocument), Http("203.0.113.77"), Http("T"), Http(kDocument),
                   Http("203.0.113.78")});
  IdentityOptions options = Options(imds);
  options.again = milliseconds(1);
  HostIdentity identity(options);
  const auto become = [&identity](const std::string& address) {
    for (int i = 0; i < 100; ++i) {
      if (identity.facts().public_address.ToString() == address) return true;
      pollfd fd{identity.poll_fd(), POLLIN, 0};
      poll(&fd, 1, 5000);
      identity.ClearEvent();
    }
    return false;
  };
  EXPECT_TRUE(become("203.0.113.78"));
}

struct BadService {
  std::string_view name;
  std::vector<std::string> answers;
  std::string_view message;
};

TEST(Identity, WhatIsNoMetadataServiceIsAProblemAndNotAnIdentity) {
  const BadService cases[] = {
      {"forbidden", {Http("", "403 Forbidden")}, "status 403"},
      {"not http", {"220 smtp ready\r\n\r\n"}, "not an HTTP answer"},
      {"closed", {""}, "IMDSv2"},
      {"token with a line end", {Http("a\r\nHost: evil")}, "not a token"},
      {"cut short", {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"}, "cut short"},
      {"no instance", {Http("T"), Http("{\"region\": \"x\"}")}, "names no instance"},
      {"not json", {Http("T"), Http("<html>")}, "names no instance"},
      {"too long", {Http(std::string(100'000, 'x'))}, "64 KiB"},
  };
  for (const BadService& bad : cases) {
    ImdsDouble imds(bad.answers);
    const auto facts = AskImds(Options(imds), HostFacts{});
    ASSERT_FALSE(facts.has_value()) << bad.name;
    EXPECT_THAT(facts.error().message, HasSubstr(std::string(bad.message))) << bad.name;
  }
}

TEST(Identity, ASilentServiceDoesNotHoldUpTheStart) {
  ImdsDouble imds({"hang"});
  IdentityOptions options = Options(imds);
  options.timeout = milliseconds(50);
  HostIdentity identity(options);
  EXPECT_EQ(identity.facts().identity_source, "machine");
  EXPECT_THAT(identity.facts().instance_id, StartsWith("machine-"));
  while (identity.problem().empty()) std::this_thread::yield();
  EXPECT_THAT(identity.problem(), HasSubstr("no answer in time"));
}

TEST(Identity, ALateAnswerIsTakenAndAnnounced) {
  ImdsDouble imds(
      {Http("", "503 Service Unavailable"), Http("T"), Http(kDocument), Http("203.0.113.77")});
  IdentityOptions options = Options(imds);
  options.retries = {milliseconds(1)};
  HostIdentity identity(options);
  pollfd fd{identity.poll_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&fd, 1, 20'000), 1);
  EXPECT_EQ(identity.facts().instance_id, "i-0123456789abcdef0");
  EXPECT_EQ(identity.problem(), "");
  identity.ClearEvent();
  EXPECT_EQ(poll(&fd, 1, 0), 0);
}

class IdentityFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / "culprit-identity.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    options_.root = name;
  }
  void TearDown() override { std::filesystem::remove_all(options_.root); }
  void Write(const std::string& path, std::string_view text) const {
    std::filesystem::create_directories(std::filesystem::path(options_.root + path).parent_path());
    std::ofstream(options_.root + path) << text;
  }
  IdentityOptions options_;
};

TEST_F(IdentityFilesTest, AMachineIsNamedByAHashOfItsIdAndNeverByTheIdItself) {
  Write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
  Write("/etc/os-release",
        "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\n");
  const HostFacts facts = LocalHostFacts(options_);
  EXPECT_EQ(facts.os, "Debian GNU/Linux 12 (bookworm)");
  EXPECT_EQ(facts.machine_id_hash.size(), 64U);
  EXPECT_EQ(facts.instance_id.size(), std::string("machine-").size() + 16);
  EXPECT_EQ(facts.instance_id.find("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(LocalHostFacts(options_).instance_id, facts.instance_id);
  Write("/etc/machine-id", "ffff456789abcdef0123456789abcdef\n");
  EXPECT_NE(LocalHostFacts(options_).instance_id, facts.instance_id);
}

TEST_F(IdentityFilesTest, AutoAsksNobodyUnlessTheFirmwareSaysEc2) {
  EXPECT_FALSE(FirmwareSaysEc2(options_.root));
  options_.endpoint = "http://127.0.0.1:1";
  EXPECT_EQ(HostIdentity(options_).problem(), "");
  Write("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
  EXPECT_TRUE(FirmwareSaysEc2(options_.root));
}

TEST(HttpEndpoint, LiteralAddressesOnly) {
  EXPECT_EQ(ParseHttpEndpoint("http://169.254.169.254")->ToString(), "169.254.169.254:80");
  EXPECT_EQ(ParseHttpEndpoint("http://[fd00:ec2::254]:8080/")->port, 8080);
  EXPECT_FALSE(ParseHttpEndpoint("http://metadata").has_value());
  EXPECT_FALSE(ParseHttpEndpoint("https://127.0.0.1").has_value());
}

TEST(Privileges, SaysExactlyWhatIsMissing) {
  EXPECT_EQ(MissingCapabilities("CapEff:\t0000000000000000\n").size(), 4U);
  EXPECT_TRUE(MissingCapabilities("Name:\tx\nCapEff:\t000001ffffffffff\n").empty());
  // CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN.
  const auto missing = MissingCapabilities("CapEff:\t000000c000001000\n");
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_THAT(missing[0], StartsWith("CAP_SYS_ADMIN"));
  EXPECT_EQ(MissingCapabilities("").size(), 4U);
}

}  // namespace
}  // namespace culprit
