// SPDX-License-Identifier: Apache-2.0
// The commands of `culprit`: each file of this folder adds one to the parser and says what running
// it does. Stage: cli. Thread: one caller. CLI11 throws only while it parses, in main.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_COMMANDS_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_COMMANDS_H_

#include <functional>

#include "collector/cli/commands/session.h"

namespace CLI {
class App;
}  // namespace CLI

namespace culprit::cli {

struct Command {
  CLI::App* app = nullptr;
  std::function<int(Session&)> run;  // the exit code
};

Command AddAudit(CLI::App& app);
Command AddHosts(CLI::App& app);
Command AddFlows(CLI::App& app);
Command AddWho(CLI::App& app);
Command AddProcess(CLI::App& app);
Command AddDns(CLI::App& app);
Command AddKeys(CLI::App& app);
Command AddLogins(CLI::App& app);
Command AddSession(CLI::App& app);
Command AddPackets(CLI::App& app);
Command AddWhere(CLI::App& app);
Command AddCost(CLI::App& app);
Command AddAnswer(CLI::App& app);
Command AddJoin(CLI::App& app);
Command AddImport(CLI::App& app);
Command AddFindings(CLI::App& app);
Command AddFinding(CLI::App& app);
Command AddExplain(CLI::App& app);
Command AddAlerts(CLI::App& app);
Command AddSsh(CLI::App& app);
Command AddKeys(CLI::App& app);
Command AddTop(CLI::App& app);
Command AddReport(CLI::App& app);
Command AddTeardown(CLI::App& app);
Command AddSnapshot(CLI::App& app);
Command AddStatus(CLI::App& app);
Command AddVerify(CLI::App& app);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_COMMANDS_H_
