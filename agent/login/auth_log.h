// SPDX-License-Identifier: Apache-2.0
// Reads one line of an authentication log: header of syslog in the forms that daemons write it, and
// what sshd, login and EC2 Instance Connect say of logins.
//
// Stage: login. Pure: the time and zone that a line without a year is read by come with it. Total
// on any bytes; linear in the line. User names and certificate ids are a stranger's text and may
// imitate the rest of a line ("x from 192.0.2.1 port 1 ssh2"). An address is taken only where the
// line can be read in one way.
#ifndef CULPRIT_AGENT_LOGIN_AUTH_LOG_H_
#define CULPRIT_AGENT_LOGIN_AUTH_LOG_H_

#include <chrono>
#include <optional>
#include <string_view>

#include "agent/model/login.h"

namespace culprit {

inline constexpr std::size_t kMaxAuthLine = 4'096;  // sshd cuts at 1,024; what is over is not read

// What a line that lacks it is read by.
struct AuthLogClock {
  WallTime now;
  std::chrono::seconds utc_offset{0};  // of the host's local time, east is positive
};

// Where a line comes from: without a header (`sshd -E FILE`), it has the message alone.
enum class AuthLogForm { kSyslog, kMessages };

// Nothing where the line is no log line of a program that tells about logins.
std::optional<LoginLine> ParseAuthLine(std::string_view line, AuthLogForm form,
                                       const AuthLogClock& clock);

// The same for an entry of the journal, which has the header apart.
std::optional<LoginLine> ParseAuthMessage(std::string_view program, std::uint32_t pid,
                                          std::string_view message);

// The programs whose messages are read.
inline constexpr std::string_view kAuthPrograms[] = {"sshd", "sshd-session", "sshd-auth", "login",
                                                     "ec2-instance-connect"};

}  // namespace culprit

#endif  // CULPRIT_AGENT_LOGIN_AUTH_LOG_H_
