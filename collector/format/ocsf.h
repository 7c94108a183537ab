// SPDX-License-Identifier: Apache-2.0
// Findings and flows in the Open Cybersecurity Schema Framework: Detection Finding (class 2004) and
// Network Activity (class 4001) of schema version 1.2.0, profile "host". One JSON document each,
// without its end of line. What the schema has no attribute for is in `unmapped`.
//
// Stage: format. Pure. Thread: any. Times are ms since 1970, as the schema has them. Text of hosts
// is ASCII with JSON's escapes: no byte of it ends a line or steers a terminal.
#ifndef CULPRIT_COLLECTOR_FORMAT_OCSF_H_
#define CULPRIT_COLLECTOR_FORMAT_OCSF_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "culprit/v1/findings.pb.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

inline constexpr std::string_view kOcsfVersion = "1.2.0";

// What the document tells of the finding; the values are those of the schema.
enum class OcsfActivity : std::uint8_t { kCreate = 1, kUpdate = 2, kClose = 3 };

// What a finding as it is stored stands for: created, changed by an operator, or closed.
OcsfActivity OcsfActivityOf(const v1::Finding& finding);

std::string OcsfFinding(const v1::Finding& finding, OcsfActivity activity);
// Not for a listening socket, which is no connection.
std::string OcsfFlow(const v1::FlowRow& flow);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_FORMAT_OCSF_H_
