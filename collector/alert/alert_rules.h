// SPDX-License-Identifier: Apache-2.0
// Which change of a finding is an alert for which target: pure, from the finding as it is and what
// the target was told last. So a change that is read again, or several at once, alerts once.
//
// Stage: alert. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_ALERT_ALERT_RULES_H_
#define CULPRIT_COLLECTOR_ALERT_ALERT_RULES_H_

#include <optional>
#include <string>

#include "collector/alert/alert_target.h"

namespace culprit {

// What a target knows of a finding.
struct Told {
  v1::Severity severity = v1::SEVERITY_UNSPECIFIED;
  bool open = false;
  bool operator==(const Told&) const = default;
};

struct AlertDecision {
  v1::AlertEvent event = v1::ALERT_EVENT_UNSPECIFIED;
  Told now;            // what the target knows once it has it
  bool wanted = true;  // false: the target does not want this event, and is taken as told
};

// Nothing where the target knows it all or the finding is not for it. `told` is null where it was
// told nothing yet.
std::optional<AlertDecision> DecideAlert(const AlertTarget& target, const v1::Finding& finding,
                                         const Told* told);

// The same finding, event and cause give the same key, whoever makes it and how often.
std::string AlertKey(const v1::Finding& finding, v1::AlertEvent event);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_ALERT_RULES_H_
