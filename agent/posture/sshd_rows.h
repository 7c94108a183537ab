// SPDX-License-Identifier: Apache-2.0
// Rows: what each weak value of sshd's configuration is called, how bad it is for whom, and which
// lines end it. sshd_checks.h asks them of every context. Stage: posture, pure. Thread: constants.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_ROWS_H_
#define CULPRIT_AGENT_POSTURE_SSHD_ROWS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/posture/policy.h"

namespace culprit {

struct Weakness {
  Severity severity = Severity::kInfo;
  std::string reason;
};

struct ConfigRow {
  std::string_view id;
  std::string_view keyword;  // whose winning line is the evidence
  std::optional<Weakness> (*judge)(const PolicyContext& context);
  std::string_view fix;  // lines that end it when sshd reads them first; "": `note` has the way
  std::string_view note;
  bool in_match;  // whether a Match block can hold the fix
};

const std::vector<ConfigRow>& ConfigRows();

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_ROWS_H_
