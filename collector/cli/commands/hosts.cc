// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "STATE is online, late (nothing for 30 s) or silent (90 s). CLOCK is how far the host's clock "
    "is ahead of the\n"
    "collector's. LOST counts events that the host itself reports as lost.\n"
    "\n"
    "Examples:\n"
    "  culprit hosts\n"
    "  culprit hosts --json | jq -r 'select(.state != \"online\").hostname'\n"
    "Next: `culprit top --host NAME`, `culprit flows --host NAME --since 10m`.\n";

int RunHosts(Session& session) {
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto hosts = client->ListHosts();
  if (!hosts) return session.Fail(hosts.error());
  if (session.json()) {
    for (const auto& host : hosts->hosts()) session.Print(ToJson(host) + "\n");
    return kExitOk;
  }
  session.Print(RenderHosts(*hosts, session.view()));
  if (hosts->hosts_size() == 0) {
    session.Note(
        "no host has reported yet: `culprit-collector issue agent NAME` makes the credentials for "
        "one");
  }
  return kExitOk;
}

}  // namespace

Command AddHosts(CLI::App& app) {
  CLI::App* command = app.add_subcommand("hosts", "The hosts that report here, and how well");
  command->footer(kFooter);
  return {command, RunHosts};
}

}  // namespace culprit::cli
