// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "AWS region and service of addresses, by AWS's own list; country and network, by the databases "
    "of the operator; and\n"
    "which host with an agent has the address. Without addresses: how old the tables are and what "
    "is missing.\n"
    "EC2 is the space of customers' instances, of anyone's account. With --json one document.\n"
    "\n"
    "Examples:\n"
    "  culprit where 198.51.100.7 2001:db8::7\n"
    "  culprit where\n"
    "Next: `culprit who ADDRESS`, `culprit flows --where`, `culprit cost`.\n";

int RunWhere(Session& session, const std::vector<std::string>& addresses) {
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  v1::WhereRequest request;
  *request.mutable_addresses() = {addresses.begin(), addresses.end()};
  const auto answer = client->Where(request);
  if (!answer) return session.Fail(answer.error());
  session.Print(session.json() ? ToJson(*answer) + "\n" : RenderWhere(*answer, session.view()));
  return kExitOk;
}

}  // namespace

Command AddWhere(CLI::App& app) {
  CLI::App* command = app.add_subcommand("where", "AWS region, service and network of addresses");
  const auto addresses = std::make_shared<std::vector<std::string>>();
  command->add_option("address", *addresses, "Addresses, at most 1,000")->type_name("");
  command->footer(kFooter);
  return {command, [addresses](Session& session) { return RunWhere(session, *addresses); }};
}

}  // namespace culprit::cli
