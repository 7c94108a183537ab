// SPDX-License-Identifier: Apache-2.0
// Findings in the Elastic Common Schema, version 8.11: an alert of category intrusion_detection,
// one JSON document without its end of line. What the schema has no field for is below `culprit`.
//
// Stage: format. Pure. Thread: any. Text of hosts is ASCII with JSON's escapes.
#ifndef CULPRIT_COLLECTOR_FORMAT_ECS_H_
#define CULPRIT_COLLECTOR_FORMAT_ECS_H_

#include <string>
#include <string_view>

#include "culprit/v1/findings.pb.h"

namespace culprit {

inline constexpr std::string_view kEcsVersion = "8.11.0";

std::string EcsFinding(const v1::Finding& finding);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_FORMAT_ECS_H_
