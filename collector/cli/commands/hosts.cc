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
    "--health shows for each interface and direction what the agent could name (process, kernel, "
    "forwarded, unknown\n"
    "owner) beside what the interface counted; RESIDUAL is what nobody is charged with. It also "
    "shows losses by cause,\n"
    "what the agent costs, and which hooks are missing. With --json one document a host.\n"
    "\n"
    "Examples:\n"
    "  culprit hosts\n"
    "  culprit hosts --health web-1\n"
    "  culprit hosts --health --json | jq '.hostname, (.coverage.interfaces[]? | {name, tx})'\n"
    "  culprit hosts --json | jq -r 'select(.state != \"online\").hostname'\n"
    "Next: `culprit top --host NAME`, `culprit flows --host NAME --since 10m`.\n";

struct Args {
  std::string host;
  bool health = false;
};

int RunHosts(Session& session, const Args& args) {
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  v1::ListHostsRequest request;
  request.set_host(args.host);
  request.set_health(args.health);
  const auto hosts = client->ListHosts(request);
  if (!hosts) return session.Fail(hosts.error());
  if (session.json()) {
    for (const auto& host : hosts->hosts()) session.Print(ToJson(host) + "\n");
    return kExitOk;
  }
  if (args.health) {
    std::string text;
    for (const auto& host : hosts->hosts()) {
      text += (text.empty() ? "" : "\n") + RenderHealth(host, session.view());
    }
    session.Print(text);
  } else {
    session.Print(RenderHosts(*hosts, session.view()));
  }
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
  const auto args = std::make_shared<Args>();
  command->add_option("host", args->host, "Only this host: hostname, instance id or agent id")
      ->type_name("");
  command->add_flag("--health", args->health,
                    "Coverage by interface, losses by cause, cost of the agent, missing hooks");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunHosts(session, *args); }};
}

}  // namespace culprit::cli
