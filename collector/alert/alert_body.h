// SPDX-License-Identifier: Apache-2.0
// An alert in the words of its target: JSON of ours, Slack's message, OCSF, ECS, a line of syslog.
//
// Stage: alert. Pure. Thread: any. The same alert gives the same bytes, so that every attempt says
// the same. What a host wrote is escaped for each form: it ends no line, steers no terminal and
// calls nobody by name in a channel.
#ifndef CULPRIT_COLLECTOR_ALERT_ALERT_BODY_H_
#define CULPRIT_COLLECTOR_ALERT_ALERT_BODY_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "culprit/v1/alerts.pb.h"

namespace culprit {

// One line for a person: "high: ssh-relay on web-1, opened: the sshd of a login …".
std::string AlertSummary(const v1::Alert& alert);

// `format`: "culprit", "slack", "ocsf" or "ecs".
std::string AlertBody(const std::string& format, const v1::Alert& alert);

// RFC 5424, at most `max_bytes` (>= 512), of which the reason is cut first. `facility` is one of
// SyslogFacilities(), `hostname` this machine's.
std::string SyslogMessage(const v1::Alert& alert, const std::string& facility,
                          const std::string& hostname, std::size_t max_bytes);
const std::vector<std::string>& SyslogFacilities();

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_ALERT_BODY_H_
