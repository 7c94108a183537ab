// SPDX-License-Identifier: Apache-2.0
// `culprit audit`.
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Who asked and did what, and what was enrolled, revoked and refused. The log is append-only and "
    "chained by hashes; each\n"
    "call of this command reads and checks all of it. Note the last hash elsewhere: a log that was "
    "cut off ends with another.\n"
    "Needs the role admin. Exit codes: 1 = the chain does not hold; 3 = none matches.\n"
    "\n"
    "Examples:\n"
    "  culprit audit --since 24h\n"
    "  culprit audit --actor operator:night --action FetchPackets --json\n"
    "  culprit audit --action enrol --result second_enrolment\n";

struct Args {
  std::string actor, action, result, since;
  std::uint32_t limit = 100;
};

std::string Render(const v1::ListAuditResponse& answer, const View& view) {
  Table table({{"NUMBER", true, 0, 3},
               {"TIME"},
               {"WHO", false, 12},
               {"ROLE", false, 0, 2},
               {"FROM", false, 0, 1},
               {"ACTION", false, 14},
               {"RESULT", false, 6},
               {"DETAIL", false, 20}});
  for (const v1::AuditEntry& entry : answer.entries()) {
    const bool good = entry.result() == "ok";
    table.Add({{std::to_string(entry.seq())},
               {ShortTime(entry.time_ns(), view)},
               {entry.actor()},
               {entry.role().empty() ? "-" : entry.role()},
               {entry.peer().empty() ? "-" : entry.peer()},
               {entry.action()},
               {entry.result(), good ? Style::kPlain : Style::kWarning},
               {entry.detail()}});
  }
  return table.Render(view);
}

Result<v1::ListAuditRequest> RequestOf(Session& session, const Args& args) {
  v1::ListAuditRequest request;
  request.set_actor(args.actor);
  request.set_action(args.action);
  request.set_result(args.result);
  request.set_limit(args.limit);
  if (!args.since.empty()) {
    TRY(const std::int64_t since, session.TimeNs("--since", args.since));
    request.set_since_ns(since);
  }
  return request;
}

int Run(Session& session, const Args& args) {
  const auto request = RequestOf(session, args);
  if (!request) return session.Fail(request.error());
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto answer = client->ListAudit(*request);
  if (!answer) return session.Fail(answer.error());
  if (session.json()) {
    for (const auto& entry : answer->entries()) session.Print(ToJson(entry) + "\n");
  } else if (answer->entries_size() > 0) {
    session.Print(Render(*answer, session.view()));
  }
  for (const std::string& place : answer->damage()) {
    session.Note("the chain does not hold: " + EscapeText(place));
  }
  if (answer->damage_size() > 0) return kExitFailed;
  session.Note(fmt::format("the chain holds: {} lines, the last is {} with hash {}",
                           answer->total(), answer->last_seq(), EscapeText(answer->last_hash())));
  return answer->entries_size() > 0 ? kExitOk : kExitNoMatch;
}

}  // namespace

Command AddAudit(CLI::App& app) {
  CLI::App* command = app.add_subcommand("audit", "Who asked and did what, and who was let in");
  const auto args = std::make_shared<Args>();
  command->add_option("--actor", args->actor, "Only of this one, as operator:NAME")
      ->type_name("WHO");
  command->add_option("--action", args->action, "Only actions whose name has this in it")
      ->type_name("TEXT");
  command->add_option("--result", args->result, "Only with this result, as ok or denied")
      ->type_name("WORD");
  command->add_option("--since", args->since, "Not older")->type_name("TIME");
  command->add_option("--limit", args->limit, "The newest so many")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command->footer(kFooter);
  return {command, [args](Session& session) { return Run(session, *args); }};
}

}  // namespace culprit::cli
