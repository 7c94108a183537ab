// SPDX-License-Identifier: Apache-2.0
// The command line of `culprit-agent triage`: options, help, exit codes. Stage: wiring.
#ifndef CULPRIT_AGENT_TRIAGE_COMMAND_H_
#define CULPRIT_AGENT_TRIAGE_COMMAND_H_

#include <CLI/CLI.hpp>

#include "agent/triage.h"

namespace culprit {

struct TriageArguments {
  TriageOptions options;
  unsigned seconds = 30;
  bool json = false, no_bundle = false, no_metadata = false;
};

// Adds the subcommand; `arguments` outlives the parsing.
CLI::App* AddTriage(CLI::App& app, TriageArguments* arguments);
// Returns the exit code.
int RunTriage(TriageArguments arguments);

}  // namespace culprit

#endif  // CULPRIT_AGENT_TRIAGE_COMMAND_H_
