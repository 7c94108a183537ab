// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_export.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/export.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Flows come newest first, groups biggest first. SENT and RECEIVED are bytes on the wire (IP "
    "packets, with\n"
    "retransmits), within the time asked for. Without a time option everything that is kept is "
    "searched.\n"
    "A flow that only passed through the host has no process: its command is (forwarded), LOCAL is "
    "its source.\n"
    "COST is by the collector's price table; ? is what has no price (`culprit cost --help`).\n"
    "With --json each line is one flow or group.\n"
    "\n"
    "--export writes all flows that match, newest first. zeek: a conn.log, with culprit_* columns "
    "at its end; csv: RFC 4180,\n"
    "times in UTC, and a text that begins with = + - or @ gets a ' before it, so that no "
    "spreadsheet runs it; json: as\n"
    "--json; vpcflow: VPC flow log lines of version 5, two for each flow. zeek and vpcflow leave "
    "out listening sockets.\n"
    "\n"
    "Examples:\n"
    "  culprit flows --since 10m\n"
    "  culprit flows --host web-1 --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z "
    "--group-by process\n"
    "  culprit flows --remote 198.51.100.0/24 --group-by exe\n"
    "  culprit flows --follow --state failed\n"
    "  culprit flows --where --since 1h\n"
    "  culprit flows --group-by region --since 24h\n"
    "  culprit flows --direction forwarded --since 1h --group-by destination\n"
    "  culprit flows --since 24h --export zeek --out conn.log\n"
    "Next: `culprit process ID` for the story of a process, `culprit who ADDRESS` for one remote "
    "address.\n";

struct Args {
  FlowArgs flows;
  ExportArgs output;
  std::string group_by, order_by;
  std::uint32_t limit = 100;
  bool follow = false, where = false;
};

int Follow(Session& session, Client& client, const v1::ListFlowsRequest& request,
           std::uint32_t limit, bool limited) {
  std::uint32_t shown = 0;
  if (!session.json()) session.Print(FlowLineHeader(session.view()) + "\n");
  const Status status = client.FollowFlows(request, [&](const v1::FlowRow& row) {
    session.Print((session.json() ? ToJson(row) : RenderFlowLine(row, session.view())) + "\n");
    ++shown;
    return !limited || shown < limit;
  });
  return status ? kExitOk : session.Fail(status.error());
}

Result<v1::ListFlowsResponse> ListAll(Client& client, const v1::ListFlowsRequest& request,
                                      std::uint32_t limit, bool* more) {
  v1::ListFlowsResponse all;
  const auto keep = [&](v1::ListFlowsResponse& page) {
    for (auto& flow : *page.mutable_flows()) all.add_flows()->Swap(&flow);
    for (auto& group : *page.mutable_groups()) all.add_groups()->Swap(&group);
    return Ok();
  };
  TRY(*more, ForEachPage(client, request, limit, keep));
  return all;
}

// The forms of output are told by --export or by --json, never by both in two ways.
bool FormsAgree(const Session& session, const ExportArgs& args) {
  return !session.json() || args.form.empty() || args.form == "json";
}

int RunFlows(Session& session, const Args& args, bool limit_given) {
  if (!FormsAgree(session, args.output)) {
    return session.Fail(InvalidArgument("--json and --export are two forms: give one of them"));
  }
  v1::ListFlowsRequest request;
  auto filter = ToFilter(args.flows, session);
  if (!filter) return session.Fail(filter.error());
  *request.mutable_filter() = std::move(*filter);
  request.set_group_by(args.group_by);
  request.set_order_by(args.order_by);
  request.set_with_cost(!args.group_by.empty());
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  if (args.follow)
    return Follow(session, *client, request, args.limit, limit_given && args.limit > 0);
  if (!args.output.form.empty()) {
    return RunExport(session, *client, args.output, request, limit_given ? args.limit : 0);
  }
  bool more = false;
  const auto answer = ListAll(*client, request, args.limit, &more);
  if (!answer) return session.Fail(answer.error());
  if (answer->flows_size() + answer->groups_size() == 0) {
    session.Note(
        "no flow matches: a wider time or fewer conditions? `culprit hosts` shows who reports");
    return kExitNoMatch;
  }
  if (session.json()) {
    for (const auto& flow : answer->flows()) session.Print(ToJson(flow) + "\n");
    for (const auto& group : answer->groups()) session.Print(ToJson(group) + "\n");
  } else if (!args.group_by.empty()) {
    session.Print(RenderGroups({answer->groups().begin(), answer->groups().end()}, args.group_by,
                               session.view()));
  } else {
    session.Print((args.where ? RenderFlowsWhere : RenderFlows)(
        {answer->flows().begin(), answer->flows().end()}, session.view()));
  }
  if (more)
    session.Note(
        fmt::format("these are the first {}; --limit shows more, --limit 0 all", args.limit));
  return kExitOk;
}

}  // namespace

Command AddFlows(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("flows", "Connections: who talked to whom, how much, with what outcome");
  const auto args = std::make_shared<Args>();
  AddFlowOptions(*command, args->flows);
  auto* group =
      command
          ->add_option("--group-by", args->group_by,
                       "process, destination, user, exe, host or region")
          ->type_name("NAME")
          ->check(CLI::IsMember({"process", "destination", "user", "exe", "host", "region"}));
  auto* order = command
                    ->add_option("--order-by", args->order_by,
                                 "time, bytes, tx (sent), rx (received) or flows; descending")
                    ->type_name("NAME")
                    ->check(CLI::IsMember({"time", "bytes", "tx", "rx", "flows"}));
  auto* limit =
      command->add_option("--limit", args->limit, "Rows to show; 0 = all, as --export has it")
          ->type_name("N")
          ->capture_default_str();
  auto* follow =
      command->add_flag("--follow,-f", args->follow, "Show flows as they arrive, until interrupted")
          ->excludes(group)
          ->excludes(order);
  auto* where = command
                    ->add_flag("--where", args->where,
                               "Show region and network of the remote end, the way and its cost")
                    ->excludes(group)
                    ->excludes(follow);
  auto* form =
      command
          ->add_option(
              "--export", args->output.form,
              "Write all flows that match as zeek, csv, json, vpcflow or ocsf (schema 1.2.0)")
          ->type_name("FORM")
          ->check(CLI::IsMember(ExportFormNames()))
          ->excludes(group)
          ->excludes(where)
          ->excludes(follow);
  command->add_option("--out", args->output.file, "Where --export writes to, instead of the output")
      ->type_name("FILE")
      ->needs(form);
  command->footer(kFooter);
  return {command,
          [args, limit](Session& session) { return RunFlows(session, *args, limit->count() > 0); }};
}

}  // namespace culprit::cli
