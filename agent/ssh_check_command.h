// SPDX-License-Identifier: Apache-2.0
// The subcommand ssh-check of culprit-agent: its options, help and exit codes. Stage: wiring.
#ifndef CULPRIT_AGENT_SSH_CHECK_COMMAND_H_
#define CULPRIT_AGENT_SSH_CHECK_COMMAND_H_

#include <CLI/CLI.hpp>
#include <string>

#include "agent/ssh_check.h"

namespace culprit {

// `options` must outlive `app`.
CLI::App* AddSshCheck(CLI::App& app, SshCheckOptions* options);
// The exit code.
int RunSshCheck(const SshCheckOptions& options, const std::string& version);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SSH_CHECK_COMMAND_H_
