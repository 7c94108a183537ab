// SPDX-License-Identifier: Apache-2.0
// The header of a log line: RFC 3164 and 5424, RFC 3339 times as rsyslog writes them, busybox's
// forms, journalctl's short ones. Stage: login. Pure, total. Private to the folder.
#ifndef CULPRIT_AGENT_LOGIN_SYSLOG_HEADER_H_
#define CULPRIT_AGENT_LOGIN_SYSLOG_HEADER_H_

#include <optional>
#include <string_view>

#include "agent/login/auth_log.h"

namespace culprit {

struct SyslogHeader {
  std::optional<WallTime> at;
  std::string_view program;
  std::uint32_t pid = 0;
  std::string_view message;
};

std::optional<SyslogHeader> ParseSyslogHeader(std::string_view line, const AuthLogClock& clock);

}  // namespace culprit

#endif  // CULPRIT_AGENT_LOGIN_SYSLOG_HEADER_H_
