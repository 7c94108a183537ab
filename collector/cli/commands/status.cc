// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "collector/cli/alerts_view.h"
#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "\"degraded\" lines say what does not work as it should, and what to do.\n"
    "\n"
    "Examples:\n"
    "  culprit status\n"
    "  culprit status --json | jq '.journal_lsn - .index_lsn'     # how far the index is behind\n";

int RunStatus(Session& session) {
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto status = client->GetStatus();
  if (!status) return session.Fail(status.error());
  if (session.json()) {
    session.Print(ToJson(*status) + "\n");
    return kExitOk;
  }
  session.Print(RenderStatus(*status, session.view()));
  // With a collector that is older there are none to show.
  if (const auto targets = client->ListAlertTargets(); targets)
    session.Print(RenderAlertLines(*targets, session.view()));
  return kExitOk;
}

}  // namespace

Command AddStatus(CLI::App& app) {
  CLI::App* command = app.add_subcommand("status", "How the collector itself is doing");
  command->footer(kFooter);
  return {command, RunStatus};
}

}  // namespace culprit::cli
