// SPDX-License-Identifier: Apache-2.0
#include "agent/login/syslog_header.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit {
namespace {

constexpr std::int64_t kNoon = 1'772'366'400'000'000'000;  // 2026-03-01T12:00:00Z
constexpr std::int64_t kSecond = 1'000'000'000;

struct Case {
  const char* line;
  std::int64_t at_ns;  // 0: none
  std::uint32_t pid;
};

TEST(SyslogHeaderTest, ReadsTheFormsThatDaemonsWrite) {
  const Case cases[] = {
      {"Mar  1 11:59:58 web-1 sshd[812]: hello", kNoon - 2 * kSecond, 812},
      {"<38>Mar  1 11:59:58 sshd[812]: hello", kNoon - 2 * kSecond, 812},
      {"Mar  1 11:59:58 web-1 auth.info sshd[812]: hello", kNoon - 2 * kSecond, 812},
      {"Mar  1 11:59:58 web-1 sshd: hello", kNoon - 2 * kSecond, 0},
      {"2026-03-01T13:59:58.250000+02:00 web-1 sshd[812]: hello", kNoon - 1'750'000'000, 812},
      {"2026-03-01T11:59:58Z web-1 sshd[812]: hello", kNoon - 2 * kSecond, 812},
      {"2026-03-01 11:59:58 web-1 sshd[812]: hello", kNoon - 2 * kSecond, 812},
      {"Mar 01 11:59:58.123456 web-1 sshd[812]: hello", kNoon - 2 * kSecond, 812},
      {"<86>1 2026-03-01T11:59:58Z web-1 sshd 812 - - hello", kNoon - 2 * kSecond, 812},
      {"<86>1 2026-03-01T11:59:58Z web-1 sshd 812 ID1 [a@1 b=\"x \\] y\"][c] hello",
       kNoon - 2 * kSecond, 812},
      {"<86>1 - - sshd - - - hello", 0, 0},
  };
  for (const Case& c : cases) {
    const auto header = ParseSyslogHeader(c.line, {WallTimeFromNs(kNoon), {}});
    ASSERT_TRUE(header) << c.line;
    EXPECT_EQ(header->program, "sshd") << c.line;
    EXPECT_EQ(header->message, "hello") << c.line;
    EXPECT_EQ(header->pid, c.pid) << c.line;
    EXPECT_EQ(header->at ? ToNs(*header->at) : 0, c.at_ns) << c.line;
  }
}

TEST(SyslogHeaderTest, ALineWithoutAYearIsOfTheLastOne) {
  // Read on New Year's day, in a zone an hour east.
  const AuthLogClock clock{WallTimeFromNs(1'767'225'600'000'000'000), std::chrono::hours(1)};
  const auto header = ParseSyslogHeader("Dec 31 23:59:58 web-1 sshd[1]: x", clock);
  ASSERT_TRUE(header);
  EXPECT_EQ(ToNs(header->at.value()), 1'767'225'600'000'000'000 - 3'602 * kSecond);
}

TEST(SyslogHeaderTest, RefusesWhatIsNone) {
  for (const char* line :
       {"", "hello", "Mar", "Mar 1", "Mar 32 11:59:58 web-1 sshd[1]: x",
        "Mar  1 25:59:58 h sshd[1]: x", "Mar  1 11:59:58 web-1 sshd[1 x",
        "Mar  1 11:59:58 web-1 sshd[x]: y", "<38 sshd: x", "<1234>x",
        "2026-13-01T11:59:58Z web-1 sshd[1]: x", "2026-03-01T11:59:58+99:99 h sshd[1]: x",
        "9999-03-01T11:59:58Z web-1 sshd[1]: x", "Mar  1 11:59:58 a b c d sshd[1]: x"}) {
    EXPECT_FALSE(ParseSyslogHeader(line, {WallTimeFromNs(kNoon), {}})) << line;
  }
}

}  // namespace
}  // namespace culprit
