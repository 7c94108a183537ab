// SPDX-License-Identifier: Apache-2.0
// Sockets of syslog's senders, with a time-out over all and an ear for `stop`.
// Stage: alert (edge: network). Thread: one caller a descriptor. Failure: one line of text.
#ifndef CULPRIT_COLLECTOR_ALERT_SYSLOG_SOCKET_H_
#define CULPRIT_COLLECTOR_ALERT_SYSLOG_SOCKET_H_

#include <chrono>
#include <stop_token>
#include <string_view>

#include "collector/alert/syslog_address.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct SendLimit {
  std::chrono::steady_clock::time_point deadline;
  std::stop_token stop;
};

// Events of `fd`; 0 = the time is over or it was asked to stop.
short WaitFor(int fd, short events, const SendLimit& limit);
// What went wrong on the socket since it was asked last.
Status PendingError(int fd, const char* what);
Status SendAll(int fd, std::string_view bytes, const SendLimit& limit);
// To the first address of the host that can be connected to; does not block.
Result<UniqueFd> ConnectTo(const SyslogAddress& address, const SendLimit& limit);
// That the other end's system has all that was sent.
Status CheckAcknowledged(int fd, const SendLimit& limit);
// Who closes after our end has read what came before it. Who never closes has at least acknowledged
// it.
Status AwaitClose(int fd, const SendLimit& limit);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_SYSLOG_SOCKET_H_
