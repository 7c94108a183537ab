// SPDX-License-Identifier: Apache-2.0
// One attempt to deliver one alert: by HTTP, by syslog, or to a program.
//
// Stage: alert (edge: network, processes). Thread: one caller an object; an attempt may block for
// the target's time-out, and ends within about a second of `stop`. Failure: never more than a
// SendOutcome; its text is one line without secrets.
#ifndef CULPRIT_COLLECTOR_ALERT_ALERT_SENDER_H_
#define CULPRIT_COLLECTOR_ALERT_ALERT_SENDER_H_

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "collector/alert/alert_target.h"

namespace culprit {

enum class SendResult : std::uint8_t {
  kDelivered,
  kFailed,   // again later
  kRefused,  // the target does not take this alert; others perhaps
};

struct SendOutcome {
  SendResult result = SendResult::kFailed;
  std::string error;                         // of what was not delivered
  std::chrono::milliseconds retry_after{0};  // as the target asks; 0 = it does not
};

struct SendRequest {
  const v1::Alert& alert;
  std::uint64_t attempt = 1;
  std::stop_token stop;
};

class AlertSender {
 public:
  virtual ~AlertSender() = default;
  virtual SendOutcome Send(const SendRequest& request) = 0;
};

// By the target's kind. `version` is told to receivers.
std::unique_ptr<AlertSender> MakeAlertSender(const AlertTarget& target, const std::string& version);

// POST of the body in the target's format, over HTTP/1.1. Headers: Idempotency-Key (the alert's
// key), X-Culprit-Event, X-Culprit-Attempt, and with a secret X-Culprit-Timestamp and
// X-Culprit-Signature (signature.h). 2xx is delivered; 400, 413, 415 and 422 are refusals; a
// redirection is an error and not followed.
std::unique_ptr<AlertSender> MakeWebhookSender(const AlertTarget& target,
                                               const std::string& version);
// RFC 5424: a datagram to /dev/log or by UDP, or one connection an alert with octet counting, by
// TCP (RFC 6587) or TLS (RFC 5425), of which the other side's close says that it has read it all.
std::unique_ptr<AlertSender> MakeSyslogSender(const AlertTarget& target);
// The program gets the body on its standard input; exit code 0 is delivered. It is ended with its
// process group after the time-out.
std::unique_ptr<AlertSender> MakeCommandSender(const AlertTarget& target);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_ALERT_SENDER_H_
