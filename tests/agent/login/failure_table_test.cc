// SPDX-License-Identifier: Apache-2.0
#include "agent/login/failure_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace culprit {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kMinute = 1'772'366'400'000'000'000;

LoginLine Failed(const std::string& user, const std::string& from,
                 LoginLineKind kind = LoginLineKind::kFailed) {
  LoginLine line;
  line.kind = kind;
  line.user = user;
  line.method = "password";
  line.from = Endpoint{IpAddress::Parse(from).value(), 4000};
  return line;
}

WallTime Wall(seconds at) { return WallTimeFromNs(kMinute) + at; }

std::uint64_t Sum(const std::vector<LoginFailureFacts>& records) {
  std::uint64_t sum = 0;
  for (const LoginFailureFacts& record : records) sum += record.count;
  return sum;
}

TEST(FailureTableTest, CountsByMinuteAddressUserAndMethod) {
  FailureTable table;
  for (int i = 0; i < 5; ++i)
    table.On(Failed("root", "203.0.113.7"), BootTime(seconds(i)), Wall(seconds(i)));
  table.On(Failed("root", "203.0.113.8"), BootTime(seconds(6)), Wall(seconds(6)));
  table.On(Failed("bob", "203.0.113.7"), BootTime(seconds(7)), Wall(seconds(61)));
  std::vector<LoginFailureFacts> out;
  table.Flush(&out);
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(Sum(out), 7U);
  EXPECT_EQ(out[0].minute_wall_ns, kMinute);
  EXPECT_EQ(out[0].count, 5U);
  EXPECT_EQ(out[0].address, IpAddress::Parse("203.0.113.7").value());
  EXPECT_EQ(out[2].minute_wall_ns, kMinute + 60'000'000'000);
}

TEST(FailureTableTest, ARecordIsToldAgainWithItsWholeCount) {
  FailureTable table;
  std::vector<LoginFailureFacts> out;
  table.On(Failed("root", "203.0.113.7"), BootTime(seconds(1)), Wall(seconds(1)));
  table.Tick(BootTime(seconds(12)), &out);
  table.On(Failed("root", "203.0.113.7"), BootTime(seconds(13)), Wall(seconds(13)));
  table.Tick(BootTime(seconds(14)), &out);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].count, 1U);
  table.Tick(BootTime(seconds(23)), &out);
  table.Tick(BootTime(seconds(33)), &out);  // nothing new
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[1].count, 2U);
  table.Tick(BootTime(seconds(200)), &out);
  EXPECT_EQ(out.size(), 2U);
  EXPECT_EQ(table.records(), 0U);
}

TEST(FailureTableTest, RemembersWhatAnAddressFailed) {
  FailureTable table;
  const IpAddress source = IpAddress::Parse("203.0.113.7").value();
  for (int i = 0; i < 4; ++i)
    table.On(Failed("root", "203.0.113.7"), BootTime(seconds(i)), Wall(seconds(i)));
  // Not an attempt of its own.
  table.On(Failed("x", "203.0.113.7", LoginLineKind::kInvalidUser), BootTime(seconds(5)),
           Wall(seconds(5)));
  EXPECT_EQ(table.FailuresFrom(source, BootTime(seconds(10))), 4U);
  EXPECT_EQ(table.FailuresFrom(source, BootTime(seconds(4'000))), 0U);
  table.On(Failed("root", "203.0.113.7"), BootTime(seconds(5'000)), Wall(seconds(5'000)));
  EXPECT_EQ(table.FailuresFrom(source, BootTime(seconds(5'001))), 1U);
}

// 10,000 attempts in a minute from 200 addresses with 500 names: a bounded number of records, and
// no attempt that is not in one.
TEST(FailureTableTest, BoundsItsRecordsAndLosesNoCount) {
  FailureTable table;
  std::vector<LoginFailureFacts> out;
  for (int i = 0; i < 10'000; ++i) {
    const seconds at(i * 60 / 10'000);
    table.On(Failed("user" + std::to_string(i % 500), "198.51.100." + std::to_string(i % 200)),
             BootTime(at), Wall(at));
    EXPECT_LE(table.records(), FailureLimits{}.max_records + 1);
  }
  table.Flush(&out);
  EXPECT_EQ(Sum(out), 10'000U);
  EXPECT_EQ(table.failures(), 10'000U);
  EXPECT_LE(out.size(), FailureLimits{}.max_records + 1);
}

TEST(FailureTableTest, NamesOfOneAddressBeyondAFewShareARecord) {
  FailureTable table;
  std::vector<LoginFailureFacts> out;
  for (int i = 0; i < 1'000; ++i) {
    table.On(Failed("user" + std::to_string(i), "203.0.113.7"), BootTime(seconds(1)),
             Wall(seconds(1)));
  }
  table.Flush(&out);
  EXPECT_EQ(out.size(), FailureLimits{}.max_users_an_address + 1);
  EXPECT_EQ(Sum(out), 1'000U);
  std::set<std::string> users;
  for (const LoginFailureFacts& record : out) users.insert(record.user);
  EXPECT_TRUE(users.contains("*"));
}

TEST(FailureTableTest, AddressesBeyondTheLimitShareARecord) {
  FailureLimits limits;
  limits.max_records = 10;
  limits.max_sources = 10;
  FailureTable table(limits);
  std::vector<LoginFailureFacts> out;
  for (int i = 0; i < 100; ++i) {
    table.On(Failed("root", "198.51.100." + std::to_string(i)), BootTime(seconds(1)),
             Wall(seconds(1)));
  }
  table.Flush(&out);
  EXPECT_EQ(out.size(), 11U);
  EXPECT_EQ(Sum(out), 100U);
}

}  // namespace
}  // namespace culprit
