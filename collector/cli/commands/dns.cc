// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "What processes asked the DNS, newest first. The same question of one process is told about "
    "once a minute, with how\n"
    "often it was asked; +N: other questions of that process that got no row. Names are what "
    "packets say: they can be made\n"
    "up by whoever sends them. With --json each line is one row.\n"
    "\n"
    "Examples:\n"
    "  culprit dns --since 10m\n"
    "  culprit dns --name .example.com          # that name and all below it\n"
    "  culprit dns --process 1f3a5c7e9b2d4f60 --json\n"
    "Next: `culprit flows --name NAME` for the connections that went there.\n";

struct Args {
  TimeArgs time;
  std::string host, name;
  std::vector<std::string> process_ids;
  std::uint32_t limit = 100;
};

int RunDns(Session& session, const Args& args) {
  v1::ListDnsRequest request;
  auto range = ToTimeRange(args.time, session);
  if (!range) return session.Fail(range.error());
  *request.mutable_time() = std::move(*range);
  request.set_host(args.host);
  request.set_name(args.name);
  for (const std::string& id : args.process_ids) {
    if (const Status good = CheckHex("--process", id, 16); !good) return session.Fail(good.error());
    request.add_process_ids(id);
  }
  request.set_limit(args.limit);
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto answer = client->ListDns(request);
  if (!answer) return session.Fail(answer.error());
  if (answer->rows_size() == 0) {
    session.Note("no question matches: a wider time or fewer conditions?");
    return kExitNoMatch;
  }
  if (session.json()) {
    for (const auto& row : answer->rows()) session.Print(ToJson(row) + "\n");
  } else {
    session.Print(RenderDns({answer->rows().begin(), answer->rows().end()}, session.view()));
  }
  if (answer->rows_size() == static_cast<int>(args.limit)) {
    session.Note(fmt::format("these are the newest {}; --limit shows more", args.limit));
  }
  return kExitOk;
}

}  // namespace

Command AddDns(CLI::App& app) {
  CLI::App* command = app.add_subcommand("dns", "Which process asked the DNS for what");
  const auto args = std::make_shared<Args>();
  AddTimeOptions(*command, args->time);
  command->add_option("--host", args->host, "Only on this host")->type_name("HOST");
  command
      ->add_option("--process", args->process_ids, "Process id of 16 hex digits; may be repeated")
      ->type_name("ID");
  command
      ->add_option("--name", args->name, "This name; with a leading dot also every name below it")
      ->type_name("NAME");
  command->add_option("--limit", args->limit, "Rows to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunDns(session, *args); }};
}

}  // namespace culprit::cli
