// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "What the data transfer of the last 24 hours costs, the dearest first: what was sent to other "
    "regions of AWS, to the\n"
    "internet, between zones. Bytes are those on the wire as the agents counted them, prices those "
    "of the collector's\n"
    "table (deploy/prices.toml), at the first tier of the month and without the account's free "
    "allowance, whose effect is\n"
    "shown apart. What the table does not price is shown as ?, never as nothing. With --json one "
    "document.\n"
    "\n"
    "Examples:\n"
    "  culprit cost\n"
    "  culprit cost --host web-1 --last 7d --group-by region\n"
    "  culprit cost --at \"2026-03-01 19:03 PDT\" --window 4h\n"
    "Next: `culprit flows --where --host HOST`, `culprit process ID`.\n";

// The dearest need not be the biggest: so many are asked for, whatever is shown.
constexpr std::uint32_t kMaxGroups = 10'000;

struct Args {
  TimeArgs time;
  std::string host, last, group_by = "process";
  int limit = 20;
  bool include_agent = false;
};

Result<v1::TimeRange> RangeOf(const Args& args, Session& session) {
  TRY(v1::TimeRange range, ToTimeRange(args.time, session));
  if (range.from_ns() != 0 || range.to_ns() != 0) return range;
  const auto last = ParseDuration(args.last.empty() ? "24h" : args.last);
  if (!last || last->count() <= 0) return InvalidArgument("--last: write for instance \"24h\"");
  range.set_from_ns(std::max<std::int64_t>(session.view().now_ns - last->count(), 1));
  return range;
}

bool Dearer(const v1::FlowGroup& a, const v1::FlowGroup& b) {
  if (a.cost_micro_usd() != b.cost_micro_usd()) return a.cost_micro_usd() > b.cost_micro_usd();
  return a.cost_unknown_bytes() > b.cost_unknown_bytes();
}

int RunCost(Session& session, const Args& args) {
  v1::ListFlowsRequest request;
  auto range = RangeOf(args, session);
  if (!range) return session.Fail(range.error());
  *request.mutable_filter()->mutable_time() = *range;
  request.mutable_filter()->set_host(args.host);
  request.mutable_filter()->set_include_agent(args.include_agent);
  request.set_group_by(args.group_by);
  request.set_order_by("tx");
  request.set_limit(kMaxGroups);
  request.set_with_cost(true);
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  auto answer = client->ListFlows(request);
  if (!answer) return session.Fail(answer.error());
  auto& groups = *answer->mutable_groups();
  if (groups.empty()) {
    session.Note("no traffic in that time; --last looks back further");
    return kExitNoMatch;
  }
  std::stable_sort(groups.begin(), groups.end(), Dearer);
  const int shown = args.limit == 0 ? groups.size() : std::min(args.limit, groups.size());
  const bool more = shown < groups.size();
  groups.DeleteSubrange(shown, groups.size() - shown);
  session.Print(session.json() ? ToJson(*answer) + "\n"
                               : RenderCost(*answer, args.group_by, session.view()));
  if (!answer->next_page_token().empty()) {
    session.Note(fmt::format("the total is of the {} that sent most: narrow the time or the host",
                             kMaxGroups));
  }
  if (more) session.Note(fmt::format("these are the dearest {}; --limit 0 shows all", shown));
  return kExitOk;
}

}  // namespace

Command AddCost(CLI::App& app) {
  CLI::App* command = app.add_subcommand("cost", "What data transfer costs, by who caused it");
  const auto args = std::make_shared<Args>();
  command->add_option("--last", args->last, "How far to look back (default 24h)")
      ->type_name("SPAN");
  AddTimeOptions(*command, args->time);
  for (const char* other : {"--since", "--until", "--at"}) {
    command->get_option(other)->excludes(command->get_option("--last"));
  }
  command->add_option("--host", args->host, "Only this host")->type_name("HOST");
  command
      ->add_option("--group-by", args->group_by, "process, region, destination, user, exe or host")
      ->type_name("NAME")
      ->capture_default_str()
      ->check(CLI::IsMember({"process", "region", "destination", "user", "exe", "host"}));
  command->add_option("--limit", args->limit, "Rows to show; 0 = all")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(0, 10000));
  command->add_flag("--include-agent", args->include_agent, "Count Culprit's own agent too");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunCost(session, *args); }};
}

}  // namespace culprit::cli
