// SPDX-License-Identifier: Apache-2.0
// `culprit alerts`: where findings are told, and whether it works.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "collector/cli/alerts_view.h"
#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Each target of collector.toml ([[alert]]): what waits for it on the collector's disk, what it "
    "got, what it lost and why.\n"
    "`culprit alerts test` queues an alert that says that it is a test behind what waits already, "
    "and waits 5 s for its delivery.\n"
    "Exit codes: 1 = a test was not delivered in time (it still waits); 3 = no target.\n"
    "\n"
    "Examples:\n"
    "  culprit alerts\n"
    "  culprit alerts test pager\n"
    "  culprit alerts --json | jq 'select(.lost > 0)'\n";

struct Args {
  std::string action = "list", target;
};

int RunList(Session& session, Client& client, const std::string& name) {
  auto targets = client.ListAlertTargets();
  if (!targets) return session.Fail(targets.error());
  auto& all = *targets->mutable_targets();
  if (!name.empty()) {
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const v1::AlertTarget& target) { return target.name() != name; }),
              all.end());
  }
  if (all.empty()) {
    session.Note(name.empty() ? "no alert target: add an [[alert]] table to collector.toml"
                              : "no alert target is called " + name);
    return kExitNoMatch;
  }
  if (session.json()) {
    if (!targets->failing().empty())
      session.Note("nothing new can be queued: " + targets->failing());
    for (const v1::AlertTarget& target : all) session.Print(ToJson(target) + "\n");
  } else {
    session.Print(RenderAlertTargets(*targets, session.view()));
  }
  return kExitOk;
}

int RunTest(Session& session, Client& client, const std::string& name) {
  v1::TestAlertsRequest request;
  request.set_target(name);
  const auto tests = client.TestAlerts(request);
  if (!tests) return session.Fail(tests.error());
  if (session.json()) {
    for (const v1::AlertTest& test : tests->tests()) session.Print(ToJson(test) + "\n");
  } else {
    session.Print(RenderAlertTests(*tests, session.view()));
  }
  const bool all = std::all_of(tests->tests().begin(), tests->tests().end(),
                               [](const v1::AlertTest& test) { return test.delivered(); });
  return all ? kExitOk : kExitFailed;
}

}  // namespace

Command AddAlerts(CLI::App& app) {
  CLI::App* command = app.add_subcommand("alerts", "Where findings are told, and a test of it");
  const auto args = std::make_shared<Args>();
  command->add_option("ACTION", args->action, "list (the default) or test")
      ->type_name("")
      ->check(CLI::IsMember({"list", "test"}));
  command->add_option("TARGET", args->target, "Only this one")->type_name("NAME");
  command->footer(kFooter);
  return {command, [args](Session& session) {
            int exit_code = kExitOk;
            Client* client = session.Connect(&exit_code);
            if (client == nullptr) return exit_code;
            return (args->action == "test" ? RunTest : RunList)(session, *client, args->target);
          }};
}

}  // namespace culprit::cli
