// SPDX-License-Identifier: Apache-2.0
#include "agent/login_feed.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "tests/agent/enrich/enricher_fixture.h"

namespace culprit::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kNoon = 1'772'366'400'000'000'000;  // 2026-03-01T12:00:00Z

class LoginFeedTest : public EnricherTest {
 protected:
  LoginFeedTest() {
    std::string pattern = ::testing::TempDir() + "/culprit-feed-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    config_.state_dir = directory_;
    config_.logins.journal = false;
    config_.logins.files = {directory_ + "/auth.log", directory_ + "/secure"};
    std::ofstream(config_.logins.files[0]) << "";
  }
  ~LoginFeedTest() override { fs::remove_all(directory_); }

  ClockPair Clock(std::chrono::nanoseconds boot) const {
    ClockPair clock;
    clock.boot = At(boot);
    clock.wall = WallTimeFromNs(kNoon) + boot;
    return clock;
  }
  // A password that failed, as sshd tells of it.
  static std::string Attempt(int i, int second) {
    const std::string head =
        fmt::format("Mar  1 12:00:{:02} web-1 sshd[{}]: ", second, 1'000 + i % 30'000);
    const std::string from = fmt::format("198.51.100.{} port {}", i % 200, 20'000 + i % 40'000);
    return head + "Connection from " + from + " on 192.0.2.1 port 22 rdomain \"\"\n" + head +
           fmt::format("Failed password for root from {} ssh2\n", from) + head +
           fmt::format("Connection closed by authenticating user root {} [preauth]\n", from);
  }
  std::uint64_t Drain(LoginFeed* feed, const std::string& method) {
    std::uint64_t count = 0;
    while (feed->pending() > 0) {
      RecordBatch batch;
      feed->Take(&batch, 100);
      EXPECT_LE(batch.login_failures.size(), 100U);
      records_ += batch.login_failures.size();
      for (const LoginFailureFacts& facts : batch.login_failures) {
        if (facts.method == method) count += facts.count;
      }
    }
    return count;
  }

  std::string directory_;
  AgentConfig config_;
  std::size_t records_ = 0;
};

// With a history, what was there before the start counts, from the file that was rotated away on.
TEST_F(LoginFeedTest, OfAHistoryAlsoTheRotatedFileIsReadAndNothingIsKept) {
  config_.logins.history_bytes = 1U << 20;
  config_.state_dir.clear();
  const std::string login =
      "sshd[7]: Accepted password for ana from 198.51.100.7 port 4000 ssh2\n";
  std::ofstream(config_.logins.files[0] + ".1") << "Feb 28 11:00:00 web-1 " + login;
  std::ofstream(config_.logins.files[0]) << "Mar  1 11:00:00 web-1 " + login;
  LoginFeed feed(config_, BootId(), enricher_, users_);
  feed.Pump(Clock(1s));
  feed.Pump(Clock(5s));
  RecordBatch batch;
  feed.Take(&batch, 100);
  EXPECT_EQ(batch.logins.size(), 2U);
  feed.Pump(Clock(6s));
  EXPECT_EQ(feed.pending(), 0U);
  EXPECT_FALSE(fs::exists(directory_ + "/logins"));
}

TEST_F(LoginFeedTest, TenThousandFailuresInAMinuteAreSums) {
  LoginFeed feed(config_, BootId(), enricher_, users_);
  std::ofstream log(config_.logins.files[0], std::ios::app);
  for (int i = 0; i < 10'000; ++i) {
    log << Attempt(i, i * 60 / 10'000);
    if (i % 167 != 166) continue;
    log.flush();
    feed.Pump(Clock(std::chrono::seconds(i / 167)));
  }
  log.flush();
  for (int i = 0; i < 10; ++i) feed.Pump(Clock(61s));
  EXPECT_EQ(feed.counters().at(1).second, 20'000U);  // lines understood
  // Each record is told again with its whole count: the last one of each is what counts.
  std::map<std::pair<std::string, std::string>, std::uint64_t> sums;
  feed.Flush();
  feed.Pump(Clock(62s));
  while (feed.pending() > 0) {
    RecordBatch batch;
    feed.Take(&batch, 1'000);
    records_ += batch.login_failures.size();
    for (const LoginFailureFacts& facts : batch.login_failures) {
      sums[{facts.method, facts.address ? facts.address->ToString() : ""}] = facts.count;
    }
  }
  std::uint64_t passwords = 0;
  for (const auto& [key, count] : sums) passwords += key.first == "password" ? count : 0;
  EXPECT_EQ(passwords, 10'000U);
  EXPECT_EQ(sums.size(), 400U);
  EXPECT_LT(records_, 400U * 8);  // told every ten seconds at most
}

TEST_F(LoginFeedTest, ALogThatWasReadIsNotReadAgain) {
  {
    LoginFeed feed(config_, BootId(), enricher_, users_);
    std::ofstream(config_.logins.files[0], std::ios::app) << Attempt(1, 1);
    feed.Flush();
    feed.Pump(Clock(2s));
    EXPECT_EQ(Drain(&feed, "password"), 1U);
  }
  std::ofstream(config_.logins.files[0], std::ios::app) << Attempt(2, 3);
  std::ofstream(config_.logins.files[1]) << Attempt(3, 3);  // came while nobody followed
  LoginFeed feed(config_, BootId(), enricher_, users_);
  feed.Flush();
  feed.Pump(Clock(4s));
  EXPECT_EQ(Drain(&feed, "password"), 1U);
}

TEST_F(LoginFeedTest, SaysWhichLogsItReads) {
  LoginFeed feed(config_, BootId(), enricher_, users_);
  EXPECT_TRUE(feed.active());
  EXPECT_EQ(feed.note(), "reads " + config_.logins.files[0]);
  config_.logins.files = {directory_ + "/none"};
  EXPECT_FALSE(LoginFeed(config_, BootId(), enricher_, users_).active());
  config_.logins.enabled = false;
  EXPECT_NE(LoginFeed(config_, BootId(), enricher_, users_).note().find("switched off"),
            std::string::npos);
}

TEST_F(LoginFeedTest, ABrokenFileOfPositionsIsAsNone) {
  std::ofstream(config_.logins.files[0]) << Attempt(1, 1);
  const std::string texts[] = {"", "\n\n", "99999999999999999999999 1 1 /x\n", "a b c\n",
                               std::string(100'000, 'x')};
  for (const std::string& text : texts) {
    std::ofstream(directory_ + "/logins") << text;
    LoginFeed feed(config_, BootId(), enricher_, users_);
    feed.Flush();
    feed.Pump(Clock(2s));
    EXPECT_EQ(Drain(&feed, "password"), 0U) << text.substr(0, 20);
  }
}

}  // namespace
}  // namespace culprit::testing
