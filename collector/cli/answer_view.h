// SPDX-License-Identifier: Apache-2.0
// What `culprit answer` prints.
// Stage: cli. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_CLI_ANSWER_VIEW_H_
#define CULPRIT_COLLECTOR_CLI_ANSWER_VIEW_H_

#include <string>
#include <vector>

#include "collector/answer/reply.h"
#include "collector/cli/render.h"

namespace culprit::cli {

// `culprits`: the first of the answer's matches, with who they are.
std::string RenderAnswer(const AbuseReport& report, const Answer& answer,
                         const std::vector<Culprit>& culprits, const View& view);
// One document.
std::string AnswerJson(const AbuseReport& report, const Answer& answer,
                       const std::vector<Culprit>& culprits);
// What the report was understood to say.
std::string RenderReport(const AbuseReport& report);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_ANSWER_VIEW_H_
