// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/alert_rules.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/format/message_json.h"

namespace culprit {
namespace {

bool Names(const std::vector<std::string>& list, const std::string& name) {
  return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
}

bool IsFor(const AlertTarget& target, const v1::Finding& finding) {
  return finding.severity() >= target.min_severity && Names(target.rules, finding.rule()) &&
         Names(target.hosts, finding.host());
}

bool IsOver(const v1::Finding& finding) {
  return finding.state() == v1::FINDING_STATE_CLOSED ||
         finding.state() == v1::FINDING_STATE_FALSE_POSITIVE;
}

}  // namespace

std::optional<AlertDecision> DecideAlert(const AlertTarget& target, const v1::Finding& finding,
                                         const Told* told) {
  AlertDecision decision;
  decision.now = {finding.severity(), !IsOver(finding)};
  if (IsOver(finding)) {
    // Who was told that it opened is told that it closed, also where the filter has changed since.
    if (told == nullptr || !told->open) return std::nullopt;
    decision.event = v1::ALERT_EVENT_CLOSED;
  } else if (!IsFor(target, finding)) {
    return std::nullopt;
  } else if (told == nullptr || !told->open) {
    decision.event = v1::ALERT_EVENT_OPENED;
  } else if (finding.severity() > told->severity) {
    decision.event = v1::ALERT_EVENT_RAISED;
  } else {
    return std::nullopt;
  }
  decision.wanted = Names(target.events, WordOf(decision.event));
  return decision;
}

std::string AlertKey(const v1::Finding& finding, v1::AlertEvent event) {
  const bool decided = event == v1::ALERT_EVENT_CLOSED || finding.state_ns() != 0;
  const std::string cause = event != v1::ALERT_EVENT_RAISED && decided
                                ? fmt::format("{}", finding.state_ns())
                                : WordOf(finding.severity());
  return fmt::format("{}-{}-{}", finding.id(), WordOf(event), cause);
}

}  // namespace culprit
