// SPDX-License-Identifier: Apache-2.0
// What `culprit join vpcflow` prints.
// Stage: cli. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_CLI_JOIN_VIEW_H_
#define CULPRIT_COLLECTOR_CLI_JOIN_VIEW_H_

#include <string>
#include <vector>

#include "collector/answer/flow_log_join.h"
#include "collector/cli/render.h"

namespace culprit::cli {

std::string RenderJoined(const std::vector<JoinedRow>& rows, const View& view);
// One line.
std::string JoinedJson(const JoinedRow& joined);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_JOIN_VIEW_H_
