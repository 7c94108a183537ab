// SPDX-License-Identifier: Apache-2.0
// `culprit alerts`, `culprit alerts test` and their part of `culprit status`, as text. Stage: cli.
// Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_CLI_ALERTS_VIEW_H_
#define CULPRIT_COLLECTOR_CLI_ALERTS_VIEW_H_

#include <string>

#include "collector/cli/render.h"
#include "culprit/v1/alerts.pb.h"

namespace culprit::cli {

std::string RenderAlertTargets(const v1::ListAlertTargetsResponse& targets, const View& view);
// A line each, for `culprit status`.
std::string RenderAlertLines(const v1::ListAlertTargetsResponse& targets, const View& view);
std::string RenderAlertTests(const v1::TestAlertsResponse& tests, const View& view);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_ALERTS_VIEW_H_
