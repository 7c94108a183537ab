// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/net_address.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "One paragraph for each process that talked to the address, the busiest first: what it is, who "
    "ran it, what\n"
    "started it. Without a time option everything that is kept is searched. Times of an abuse "
    "report can be given in\n"
    "their own zone. COST is that of the bytes sent to the address (`culprit cost --help`). With "
    "--json each line is one\n"
    "process: {\"group\", \"process\", \"ancestors\", \"where\"}.\n"
    "\n"
    "Examples:\n"
    "  culprit who 198.51.100.7\n"
    "  culprit who 198.51.100.7:22 --at \"2026-03-01 19:03 PDT\" --window 10m\n"
    "  culprit who [2001:db8::7]:443 --since 1h\n"
    "Next: `culprit process ID` for its tree and its other flows.\n";

struct Args {
  std::string address, host;
  TimeArgs time;
  std::uint32_t limit = 20;
  bool include_agent = false;
};

Result<v1::ListFlowsRequest> MakeRequest(const Args& args, Session& session) {
  v1::ListFlowsRequest request;
  v1::FlowFilter* filter = request.mutable_filter();
  TRY_VOID(SetRemote(args.address, filter));
  TRY(*filter->mutable_time(), ToTimeRange(args.time, session));
  filter->set_host(args.host);
  filter->set_include_agent(args.include_agent);
  request.set_group_by("process");
  request.set_limit(args.limit);
  request.set_with_cost(true);
  return request;
}

std::string WhoJson(const WhoMatch& match, const v1::PlaceRow* where) {
  std::string ancestors;
  for (const auto& ancestor : match.process.ancestors()) {
    ancestors += (ancestors.empty() ? "" : ",") + ToJson(ancestor);
  }
  const bool known = match.process.has_process();
  return fmt::format("{{\"group\":{},\"process\":{},\"ancestors\":[{}],\"where\":{}}}\n",
                     ToJson(match.group), known ? ToJson(match.process.process()) : "null",
                     ancestors, where != nullptr ? ToJson(*where) : "null");
}

// Empty for a block of addresses, and where the collector cannot tell.
v1::WhereResponse WhereIs(const std::string& remote, Client& client) {
  v1::WhereRequest request;
  request.add_addresses(remote);
  auto where = IpAddress::Parse(remote) ? client.Where(request) : v1::WhereResponse();
  return where ? std::move(*where) : v1::WhereResponse();
}

int RunWho(Session& session, const Args& args) {
  const auto request = MakeRequest(args, session);
  if (!request) return session.Fail(request.error());
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto answer = client->ListFlows(*request);
  if (!answer) return session.Fail(answer.error());
  std::vector<WhoMatch> matches;
  for (const auto& group : answer->groups()) {
    WhoMatch match{group, {}};
    v1::GetProcessRequest ask;
    ask.set_process(group.key());
    ask.set_without_flows(true);
    auto process = client->GetProcess(ask);
    if (process) {
      match.process = std::move(*process);
    } else if (process.error().code != Code::kNotFound &&
               process.error().code != Code::kInvalidArgument) {
      return session.Fail(process.error());
    }
    matches.push_back(std::move(match));
  }
  if (matches.empty()) {
    session.Note(fmt::format(
        "no process talked to {} in that time; wrong zone? a wider --window, or none of --at, "
        "--since and --until, searches more",
        args.address));
    return kExitNoMatch;
  }
  const v1::WhereResponse where = WhereIs(request->filter().remote(), *client);
  const v1::PlaceRow* place = where.places_size() == 0 ? nullptr : &where.places(0);
  if (session.json()) {
    for (const WhoMatch& match : matches) session.Print(WhoJson(match, place));
  } else {
    session.Print(RenderWho(matches, place, session.view()));
  }
  if (!answer->next_page_token().empty()) {
    session.Note(fmt::format("these are the busiest {}; --limit shows more", args.limit));
  }
  return kExitOk;
}

}  // namespace

Command AddWho(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("who", "Which process, on which host, talked to an address");
  const auto args = std::make_shared<Args>();
  command->add_option("address", args->address, "ADDRESS, ADDRESS:PORT, [V6]:PORT or CIDR")
      ->required()
      ->type_name("");
  AddTimeOptions(*command, args->time);
  command->add_option("--host", args->host, "Only on this host")->type_name("HOST");
  command->add_option("--limit", args->limit, "Processes to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--include-agent", args->include_agent, "Show Culprit's own agent too");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunWho(session, *args); }};
}

}  // namespace culprit::cli
