// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
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
    "With --json each line is one flow or group.\n"
    "\n"
    "Examples:\n"
    "  culprit flows --since 10m\n"
    "  culprit flows --host web-1 --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z "
    "--group-by process\n"
    "  culprit flows --remote 198.51.100.0/24 --group-by exe\n"
    "  culprit flows --follow --state failed\n"
    "  culprit flows --direction forwarded --since 1h --group-by destination\n"
    "Next: `culprit process ID` for the story of a process, `culprit who ADDRESS` for one remote "
    "address.\n";

constexpr std::uint32_t kPageSize = 10'000;

struct Args {
  FlowArgs flows;
  std::string group_by, order_by;
  std::uint32_t limit = 100;
  bool follow = false;
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

// Pages until `limit` rows are there (0 = all of them).
Result<v1::ListFlowsResponse> ListAll(Client& client, v1::ListFlowsRequest request,
                                      std::uint32_t limit, bool* more) {
  v1::ListFlowsResponse all;
  *more = false;
  while (true) {
    const auto have = static_cast<std::uint32_t>(all.flows_size() + all.groups_size());
    request.set_limit(limit == 0 ? kPageSize : std::min(limit - have, kPageSize));
    TRY(v1::ListFlowsResponse page, client.ListFlows(request));
    const int rows = page.flows_size() + page.groups_size();
    for (auto& flow : *page.mutable_flows()) all.add_flows()->Swap(&flow);
    for (auto& group : *page.mutable_groups()) all.add_groups()->Swap(&group);
    if (page.next_page_token().empty() || rows == 0) return all;
    if (limit != 0 && have + static_cast<std::uint32_t>(rows) >= limit) {
      *more = true;
      return all;
    }
    request.set_page_token(page.next_page_token());
  }
}

int RunFlows(Session& session, const Args& args, bool limit_given) {
  v1::ListFlowsRequest request;
  auto filter = ToFilter(args.flows, session);
  if (!filter) return session.Fail(filter.error());
  *request.mutable_filter() = std::move(*filter);
  request.set_group_by(args.group_by);
  request.set_order_by(args.order_by);
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  if (args.follow)
    return Follow(session, *client, request, args.limit, limit_given && args.limit > 0);
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
    session.Print(RenderFlows({answer->flows().begin(), answer->flows().end()}, session.view()));
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
      command->add_option("--group-by", args->group_by, "process, destination, user, exe or host")
          ->type_name("NAME")
          ->check(CLI::IsMember({"process", "destination", "user", "exe", "host"}));
  auto* order = command
                    ->add_option("--order-by", args->order_by,
                                 "time, bytes, tx (sent), rx (received) or flows; descending")
                    ->type_name("NAME")
                    ->check(CLI::IsMember({"time", "bytes", "tx", "rx", "flows"}));
  auto* limit = command->add_option("--limit", args->limit, "Rows to show; 0 = all")
                    ->type_name("N")
                    ->capture_default_str();
  command->add_flag("--follow,-f", args->follow, "Show flows as they arrive, until interrupted")
      ->excludes(group)
      ->excludes(order);
  command->footer(kFooter);
  return {command,
          [args, limit](Session& session) { return RunFlows(session, *args, limit->count() > 0); }};
}

}  // namespace culprit::cli
