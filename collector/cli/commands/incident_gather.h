// SPDX-License-Identifier: Apache-2.0
// Asks the collector for all that the report of an incident is made of. Stage: cli (edge: the
// client). Thread: one caller. Errors: of the calls that the report cannot do without; what else
// cannot be had is in its gaps.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_INCIDENT_GATHER_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_INCIDENT_GATHER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "collector/cli/commands/session.h"
#include "collector/report/incident.h"

namespace culprit::cli {

struct IncidentQuestion {
  std::string subject;  // a host as everywhere, or a finding's id
  std::optional<std::int64_t> since_ns;
};

// Errors: kNotFound where the subject is neither a host nor a finding.
Result<report::Incident> GatherIncident(Session& session, Client& client,
                                        const IncidentQuestion& question);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_INCIDENT_GATHER_H_
