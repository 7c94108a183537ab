// SPDX-License-Identifier: Apache-2.0
// Notices of the metadata service: what is one, and that each is given once, also over restarts.
#include "agent/cloud_notices.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <map>

#include "common/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Triggers(NoticeKind kind, std::string_view body) {
  std::vector<std::string> triggers;
  for (const CloudNotice& notice : ReadNotices(kind, body)) triggers.push_back(notice.trigger);
  return triggers;
}

TEST(CloudNoticeTest, EachAnswerOfAwsIsUnderstood) {
  EXPECT_THAT(
      Triggers(NoticeKind::kSpot, R"({"action": "terminate", "time": "2026-05-01T08:22:00Z"})"),
      ElementsAre("spot interruption: terminate at 2026-05-01T08:22:00Z"));
  EXPECT_THAT(Triggers(NoticeKind::kRebalance, R"({"noticeTime": "2026-05-01T08:20:00Z"})"),
              ElementsAre("rebalance recommendation of 2026-05-01T08:20:00Z"));
  EXPECT_THAT(Triggers(NoticeKind::kMaintenance,
                       R"([{"NotBefore": "21 Jan 2027 09:00:43 GMT", "Code": "system-reboot",
                    "EventId": "instance-event-0d59937288b749b32", "State": "active"},
                   {"NotBefore": "x", "Code": "instance-stop", "State": "completed"}])"),
              ElementsAre("scheduled event: system-reboot not before 21 Jan 2027 09:00:43 GMT"));
  EXPECT_THAT(Triggers(NoticeKind::kScaling, "Terminated"), ElementsAre(HasSubstr("Terminated")));
}

TEST(CloudNoticeTest, WhatTakesNothingAwayOrMakesNoSenseIsNone) {
  EXPECT_THAT(Triggers(NoticeKind::kMaintenance, "[]"), IsEmpty());
  for (const char* state : {"InService", "Standby", "Detached", ""})
    EXPECT_THAT(Triggers(NoticeKind::kScaling, state), IsEmpty()) << state;
  const std::string deep(2'000, '[');
  for (const std::string& body :
       {std::string(), std::string("x"), std::string("[1]"), std::string("{\"action\": 5}"),
        std::string("{\"action\": \"a\\nb\"}"), deep, std::string(100'000, ' ')}) {
    for (const auto kind : {NoticeKind::kSpot, NoticeKind::kRebalance, NoticeKind::kMaintenance})
      EXPECT_THAT(Triggers(kind, body), IsEmpty()) << body.substr(0, 20);
  }
}

// The metadata service: a token for PUT, else what it has for a path, or 404.
class Service {
 public:
  Service() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_.get(), any, length), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    EXPECT_EQ(getsockname(listener_.get(), any, &length), 0);
    endpoint = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::jthread([this] { Serve(); });
  }
  ~Service() { shutdown(listener_.get(), SHUT_RDWR); }

  void Put(const std::string& path, const std::string& body) {
    const std::lock_guard lock(mutex_);
    bodies_["/latest/meta-data/" + path] = body;
  }
  void ChangeToken() {
    const std::lock_guard lock(mutex_);
    token_ += "x";
  }
  // Until `path` was asked for so often from now on.
  void Await(const std::string& path, int more) {
    std::unique_lock lock(mutex_);
    int& count = asked_["/latest/meta-data/" + path];
    const int want = count + more;
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return count >= want; }));
  }
  std::string endpoint;

 private:
  void Serve() {
    for (;;) {
      const UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      std::array<char, 4096> buffer{};
      const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
      const std::string request(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
      const std::string answer = Answer(request);
      send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }
  std::string Answer(const std::string& request) {
    const std::lock_guard lock(mutex_);
    const auto reply = [](const std::string& status, const std::string& body) {
      return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
             "\r\n\r\n" + body;
    };
    if (request.starts_with("PUT ")) return reply("200 OK", token_);
    if (request.find("token: " + token_ + "\r\n") == std::string::npos)
      return reply("401 Unauthorized", "");
    const std::string path = request.substr(4, request.find(' ', 4) - 4);
    ++asked_[path];
    changed_.notify_all();
    const auto body = bodies_.find(path);
    return body == bodies_.end() ? reply("404 Not Found", "") : reply("200 OK", body->second);
  }

  UniqueFd listener_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string token_ = "token";
  std::map<std::string, std::string> bodies_;
  std::map<std::string, int> asked_;
  std::jthread thread_;
};

class CloudNoticesTest : public ::testing::Test {
 protected:
  void Start() {
    CloudNoticesOptions options;
    options.endpoint = service_.endpoint;
    options.instance_id = "i-1";
    options.seen_path = directory_ / "notices";
    options.interval = std::chrono::milliseconds(5);
    notices_ = std::make_unique<CloudNotices>(options);
  }
  std::vector<std::string> Take() {
    std::vector<std::string> triggers;
    for (const CloudNotice& notice : notices_->Take()) triggers.push_back(notice.trigger);
    return triggers;
  }

  TempDir directory_;
  Service service_;
  std::unique_ptr<CloudNotices> notices_;
};

constexpr const char* kSpotPath = "spot/instance-action";

TEST_F(CloudNoticesTest, ANoticeIsGivenOnceAlsoAfterARestartAndWithAnotherToken) {
  Start();
  service_.Await(kSpotPath, 2);
  EXPECT_THAT(Take(), IsEmpty());
  service_.ChangeToken();
  service_.Put(kSpotPath, R"({"action": "stop", "time": "2026-05-01T08:22:00Z"})");
  service_.Await(kSpotPath, 4);
  EXPECT_THAT(Take(), ElementsAre("spot interruption: stop at 2026-05-01T08:22:00Z"));
  EXPECT_EQ(notices_->problem(), "");
  notices_.reset();
  Start();
  service_.Await(kSpotPath, 4);
  EXPECT_THAT(Take(), IsEmpty());
  service_.Put(kSpotPath, R"({"action": "stop", "time": "2026-06-01T00:00:00Z"})");
  service_.Await(kSpotPath, 4);
  EXPECT_EQ(Take().size(), 1U);
}

TEST_F(CloudNoticesTest, AnInstanceOnDemandIsAskedAboutItsGroupAndEventsAlone) {
  service_.Put("instance-life-cycle", "on-demand");
  service_.Put(kSpotPath, R"({"action": "stop", "time": "x"})");
  service_.Put("autoscaling/target-lifecycle-state", "InService");
  Start();
  service_.Await("events/maintenance/scheduled", 2);
  EXPECT_THAT(Take(), IsEmpty());
  service_.Put("autoscaling/target-lifecycle-state", "Terminated");
  service_.Await("autoscaling/target-lifecycle-state", 3);
  EXPECT_THAT(Take(), ElementsAre("Auto Scaling: the lifecycle state becomes Terminated"));
}

}  // namespace
}  // namespace culprit
