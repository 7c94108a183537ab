// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

constexpr const char* kSshFooter =
    "What listens, who may log in and how, what is wrong with it, and the last changes of what "
    "sshd "
    "reads, each with the\n"
    "process that made it. Agents look when they start, and within a second of a change. What they "
    "say is what the host\n"
    "lets them see. With --json each line is one host.\n"
    "\n"
    "Examples:\n"
    "  culprit ssh\n"
    "  culprit ssh --host web-1 --since 2h --changes 100\n"
    "  culprit ssh --json | jq '.posture.findings[] | select(.severity == 4)'\n"
    "Next: `culprit process ID` for who made a change, `culprit keys` for the keys.\n";

struct SshArgs {
  TimeArgs time;
  std::string host;
  std::uint32_t changes = 20;
};

int RunSsh(Session& session, const SshArgs& args) {
  v1::GetPostureRequest request;
  auto range = ToTimeRange(args.time, session);
  if (!range) return session.Fail(range.error());
  *request.mutable_time() = std::move(*range);
  request.set_host(args.host);
  request.set_change_limit(args.changes);
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto answer = client->GetPosture(request);
  if (!answer) return session.Fail(answer.error());
  if (answer->hosts_size() == 0) {
    session.Note("no host has told about its SSH: is ssh.enabled on, is the agent up to date?");
    return kExitNoMatch;
  }
  bool first = true;
  for (const v1::HostPosture& host : answer->hosts()) {
    if (session.json()) {
      session.Print(ToJson(host) + "\n");
      continue;
    }
    session.Print((first ? "" : "\n") + RenderPosture(host, session.view()));
    first = false;
  }
  return kExitOk;
}

}  // namespace

Command AddSsh(CLI::App& app) {
  CLI::App* command = app.add_subcommand("ssh", "How the SSH of hosts stands, and who changed it");
  const auto args = std::make_shared<SshArgs>();
  AddTimeOptions(*command, args->time);
  command->add_option("--host", args->host, "Only this host")->type_name("HOST");
  command->add_option("--changes", args->changes, "Changes of each host to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command->footer(kSshFooter);
  return {command, [args](Session& session) { return RunSsh(session, *args); }};
}

}  // namespace culprit::cli
