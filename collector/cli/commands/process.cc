// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>

#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/hex.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Shows what the process is (executable, hash, command line, user, session), its ancestry up to "
    "pid 1, its children\n"
    "and its newest flows. Where there is such activity: first contacts (destinations new to its "
    "user), how many\n"
    "addresses and ports it reached, bytes by who began the flow, packets that it crafted itself. "
    "A pid is looked up on --host; the newest process that had it is shown.\n"
    "With --json one document: {\"process\", \"ancestors\", \"children\", \"flows\", \"counters\", "
    "\"totals\"}.\n"
    "\n"
    "Examples:\n"
    "  culprit process 9f86d081884c7d65\n"
    "  culprit process 4242 --host web-1 --flows 20\n"
    "Next: `culprit flows --process ID --group-by destination`, `culprit flows --sha256 HEX "
    "--group-by host`.\n";

struct Args {
  std::string process, host;
  std::uint32_t flows = 20;
};

bool IsPid(const std::string& text) {
  return text.size() <= 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int RunProcess(Session& session, const Args& args) {
  if (IsPid(args.process)) {
    if (args.host.empty())
      return session.Fail(InvalidArgument("a pid needs --host: pids repeat from host to host"));
  } else if (args.process.size() != 16 || !HexDecode(args.process)) {
    return session.Fail(InvalidArgument(
        "expected a process id of 16 hexadecimal digits (`culprit flows --wide` and "
        "`culprit who` show it), or a pid with --host"));
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  v1::GetProcessRequest request;
  request.set_process(args.process);
  request.set_host(args.host);
  request.set_flow_limit(args.flows);
  const auto answer = client->GetProcess(request);
  if (!answer) return session.Fail(answer.error());
  session.Print(session.json() ? ToJson(*answer) + "\n" : RenderProcess(*answer, session.view()));
  return kExitOk;
}

}  // namespace

Command AddProcess(CLI::App& app) {
  CLI::App* command = app.add_subcommand("process", "One process: what it is, its tree, its flows");
  const auto args = std::make_shared<Args>();
  command->add_option("process", args->process, "Process id of 16 hex digits, or a pid with --host")
      ->required()
      ->type_name("");
  command->add_option("--host", args->host, "Hostname, instance id or agent id")->type_name("HOST");
  command->add_option("--flows", args->flows, "Flows to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunProcess(session, *args); }};
}

}  // namespace culprit::cli
