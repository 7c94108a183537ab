// SPDX-License-Identifier: Apache-2.0
// The subcommand enrol of culprit-agent: its options and help. Stage: wiring.
#ifndef CULPRIT_AGENT_ENROL_OPTIONS_H_
#define CULPRIT_AGENT_ENROL_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "agent/enrol_command.h"

namespace culprit {

struct EnrolOptions {
  EnrolCommand command;
  std::string token_file, wait = "0";
  bool document = false;
};

// `options` must outlive `app`.
CLI::App* AddEnrol(CLI::App& app, EnrolOptions* options);
// The options as they were given, with the token out of its file or CULPRIT_TOKEN. Errors:
// kInvalidArgument, and those of the file.
Result<EnrolCommand> EnrolCommandOf(const EnrolOptions& options);

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENROL_OPTIONS_H_
