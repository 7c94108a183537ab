// SPDX-License-Identifier: Apache-2.0
// Stage: alert. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_ALERT_SYSLOG_ADDRESS_H_
#define CULPRIT_COLLECTOR_ALERT_SYSLOG_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace culprit {

struct SyslogAddress {
  enum class Transport : std::uint8_t { kLocal, kUdp, kTcp, kTls } transport = Transport::kLocal;
  std::string host;  // of kLocal the path
  std::string port;
};

// "/dev/log", "udp://HOST:PORT", "tcp://[2001:db8::1]:601", "tls://HOST"; without a port 514 (UDP),
// 601 (TCP) or 6514 (TLS).
std::optional<SyslogAddress> ParseSyslogAddress(const std::string& text);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_SYSLOG_ADDRESS_H_
