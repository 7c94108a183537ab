// SPDX-License-Identifier: Apache-2.0
// `culprit-agent ssh-check`: one look at the SSH of this host, or of an image, shown as text, JSON
// or SARIF 2.1.0. Stage: wiring. Thread: one caller. Needs no collector and no running agent.
#ifndef CULPRIT_AGENT_SSH_CHECK_H_
#define CULPRIT_AGENT_SSH_CHECK_H_

#include <string>

#include "agent/posture/posture.h"
#include "common/result.h"

namespace culprit {

struct SshCheckOptions {
  std::string root = "/";  // other than "/": an image, whose processes are not looked for
  std::string config, user;
  std::string known_bad, baseline, write_baseline;  // files; "" without
  bool json = false, sarif = false;
};

Result<PostureReport> SshCheck(const SshCheckOptions& options);

std::string FormatPostureText(const PostureReport& report);
std::string FormatPostureJson(const PostureReport& report);
std::string FormatPostureSarif(const PostureReport& report, const std::string& version);

// 0 for nothing worse than info, then 10 low, 11 medium, 12 high, 13 critical.
int PostureExitCode(Severity worst);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SSH_CHECK_H_
