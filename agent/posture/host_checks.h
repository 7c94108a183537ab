// SPDX-License-Identifier: Apache-2.0
// Checks beside the configuration's own text: who can write what sshd reads or runs, accounts, the
// unit that starts it, and the servers that really run. Stage: posture, pure behind FileTree.
// Thread: one caller.
#ifndef CULPRIT_AGENT_POSTURE_HOST_CHECKS_H_
#define CULPRIT_AGENT_POSTURE_HOST_CHECKS_H_

#include <optional>
#include <vector>

#include "agent/posture/policy.h"
#include "agent/posture/posture.h"
#include "agent/posture/systemd_unit.h"

namespace culprit {

// Owners and modes of the configuration, host keys, and of what sshd runs or trusts.
std::vector<PostureFinding> CheckFiles(FileTree& tree, const SshdConfig& config,
                                       const Accounts& accounts,
                                       const std::vector<PolicyContext>& contexts);
std::vector<PostureFinding> CheckAccounts(const Accounts& accounts);
std::vector<PostureFinding> CheckUnit(const SystemdUnit& unit);

struct ServerFacts {
  const std::vector<SshServer>& servers;
  const SshdConfig& config;
  const std::optional<SystemdUnit>& unit;
  const std::vector<std::string>& unit_command;
  bool password_from_public = false;
};
std::vector<PostureFinding> CheckServers(FileTree& tree, const ServerFacts& facts);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_HOST_CHECKS_H_
