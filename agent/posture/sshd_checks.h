// SPDX-License-Identifier: Apache-2.0
// Checks of a configuration of sshd by itself: weak values for whom they hold, what a Match block
// weakens, what can never take effect, what sshd would refuse. Stage: posture, pure. Thread:
// values.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_CHECKS_H_
#define CULPRIT_AGENT_POSTURE_SSHD_CHECKS_H_

#include <vector>

#include "agent/posture/policy.h"
#include "agent/posture/posture.h"

namespace culprit {

std::vector<PostureFinding> CheckSshdConfig(const SshdConfig& config, const Accounts& accounts,
                                            const std::vector<PolicyContext>& contexts);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_CHECKS_H_
