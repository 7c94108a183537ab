// SPDX-License-Identifier: Apache-2.0
// The commands of `culprit snapshot` that read bundles, from a file or from the collector.
// Stage: cli. Thread: one caller.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_SNAPSHOT_READ_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_SNAPSHOT_READ_H_

#include <vector>

#include "collector/cli/commands/commands.h"

namespace culprit::cli {

// show, ls, cat, extract, save, diff, timeline.
void AddBundleCommands(CLI::App& snapshot, std::vector<Command>* commands);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_SNAPSHOT_READ_H_
