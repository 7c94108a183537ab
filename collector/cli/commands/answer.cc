// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "collector/answer/match.h"
#include "collector/cli/answer_view.h"
#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_export.h"
#include "common/file.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Reads an abuse report as AWS passes it on: a CSV line, an extract of the victim's log, free "
    "text, an AWS Health event\n"
    "as JSON. Takes addresses, ports, protocols, instances and times out of it, looks for flows "
    "that fit, and says which\n"
    "process it was, with the reasons. A time without a zone is tried in every zone (UTC and US "
    "Pacific are likeliest), one\n"
    "without a year in the years before; months and days in either order; ports in either column. "
    "Text in a report is only\n"
    "compared with the evidence, never believed. At the end stands the draft of a reply to AWS "
    "with gaps for you to fill.\n"
    "With --json one document: {\"report\", \"notes\", \"matches\", \"reply\"}.\n"
    "Exit codes: 0 found, 1 nothing fits (or failed), 2 the input is no report; 4 and 5 as "
    "everywhere.\n"
    "\n"
    "Examples:\n"
    "  culprit answer report.txt\n"
    "  culprit answer --json - < event.json\n"
    "Next: `culprit process ID`, `culprit flows --process ID --where`.\n";

constexpr std::uint32_t kPage = 10'000, kMaxFlows = 100'000;
constexpr std::size_t kCulprits = 3;
constexpr std::uint32_t kDestinations = 50, kFindings = 1000;

struct Args {
  std::string file;
  bool include_agent = false;
};

Result<std::string> ReadReport(const std::string& file) {
  if (file != "-") return ReadWholeFile(file, kMaxReportBytes);
  TRY(std::string text, ReadUpTo(STDIN_FILENO, kMaxReportBytes + 1, "read the standard input"));
  if (text.size() <= kMaxReportBytes) return text;
  return InvalidArgument(fmt::format("the report is longer than {} bytes", kMaxReportBytes));
}

Status AddFlows(Client& client, const Search& search, const Args& args,
                std::vector<v1::FlowRow>* flows, bool* more) {
  v1::ListFlowsRequest request;
  v1::FlowFilter& filter = *request.mutable_filter();
  if (search.remote) filter.set_remote(search.remote->ToString());
  filter.set_host(search.host);
  filter.set_include_agent(args.include_agent);
  filter.mutable_time()->set_from_ns(std::max<std::int64_t>(ToNs(search.from), 0));
  filter.mutable_time()->set_to_ns(std::max<std::int64_t>(ToNs(search.to), 0));
  if (!search.remote) request.set_order_by("tx");
  request.set_limit(kPage);
  const std::uint32_t limit =
      kMaxFlows - static_cast<std::uint32_t>(std::min<std::size_t>(flows->size(), kMaxFlows - 1));
  const auto keep = [flows](v1::ListFlowsResponse& page) {
    for (auto& flow : *page.mutable_flows()) flows->push_back(std::move(flow));
    return Ok();
  };
  TRY(const bool cut, ForEachPage(client, request, limit, keep));
  *more |= cut;
  return Ok();
}

const v1::HostRow* HostOf(const v1::ListHostsResponse& hosts, const std::string& agent_id) {
  const auto& rows = hosts.hosts();
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const v1::HostRow& host) {
    return host.agent_id() == agent_id;
  });
  return it == rows.end() ? nullptr : &*it;
}

Result<std::vector<v1::Finding>> FindingsOf(Client& client, const ProcessMatch& match) {
  v1::ListFindingsRequest request;
  request.set_host(match.host);
  request.set_since_ns(match.first_ns);
  request.set_limit(kFindings);
  TRY(v1::ListFindingsResponse answer, client.ListFindings(request));
  std::vector<v1::Finding> findings;
  for (v1::Finding& finding : *answer.mutable_findings()) {
    const auto& flows = finding.flow_ids();
    const bool flow = std::ranges::any_of(match.best, [&flows](const FlowMatch& its) {
      return std::find(flows.begin(), flows.end(), its.flow.flow_id()) != flows.end();
    });
    if (finding.agent_id() != match.agent_id) continue;
    if (flow || finding.process_id() == match.process_id) findings.push_back(std::move(finding));
  }
  return findings;
}

Result<Culprit> Identify(Client& client, const ProcessMatch& match,
                         const v1::ListHostsResponse& hosts) {
  Culprit culprit{match, {}, {}, {}, {}};
  if (const v1::HostRow* host = HostOf(hosts, match.agent_id)) culprit.host = *host;
  v1::GetProcessRequest ask;
  ask.set_process(match.process_id);
  ask.set_host(match.agent_id);
  ask.set_flow_limit(1);
  auto process = client.GetProcess(ask);
  if (process) {
    culprit.process = std::move(*process);
  } else if (process.error().code != Code::kNotFound &&
             process.error().code != Code::kInvalidArgument) {
    return std::move(process).error();
  }
  v1::ListFlowsRequest request;
  request.mutable_filter()->set_host(match.agent_id);
  request.mutable_filter()->add_process_ids(match.process_id);
  request.mutable_filter()->set_include_agent(true);
  request.set_group_by("destination");
  request.set_limit(kDestinations);
  request.set_with_cost(true);
  TRY(const v1::ListFlowsResponse answer, client.ListFlows(request));
  culprit.destinations.assign(answer.groups().begin(), answer.groups().end());
  TRY(culprit.findings, FindingsOf(client, match));
  return culprit;
}

struct Found {
  Answer answer;
  std::vector<Culprit> culprits;
};

Result<Found> Look(Client& client, const AbuseReport& report, WallTime now, const Args& args) {
  TRY(const v1::ListHostsResponse hosts, client.ListHosts({}));
  std::vector<v1::FlowRow> flows;
  bool more = false;
  for (const Search& search : SearchesOf(report, hosts, now)) {
    TRY_VOID(AddFlows(client, search, args, &flows, &more));
  }
  Found found{RankMatches(report, hosts, flows, now), {}};
  if (more || found.answer.cut) {
    found.answer.notes.emplace_back(
        "more flows may fit than were compared: an exact time, address or port narrows it down");
  }
  for (const ProcessMatch& match : found.answer.matches) {
    if (found.culprits.size() == kCulprits) break;
    TRY(Culprit culprit, Identify(client, match, hosts));
    found.culprits.push_back(std::move(culprit));
  }
  return found;
}

int RunAnswer(Session& session, const Args& args) {
  const auto text = ReadReport(args.file);
  if (!text) {
    session.Fail(text.error());
    return kExitUsage;
  }
  const AbuseReport report = ParseAbuseReport(*text);
  if (report.sightings.empty()) {
    return session.Fail(InvalidArgument(
        fmt::format("{}: no address and no instance with a time in it: is it the whole report?",
                    EscapeText(args.file))));
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const View view = session.view();
  const auto found = Look(*client, report, WallTimeFromNs(view.now_ns), args);
  if (!found) return session.Fail(found.error());
  if (session.json()) {
    session.Print(AnswerJson(report, found->answer, found->culprits));
  } else if (!found->culprits.empty()) {
    session.Print(RenderAnswer(report, found->answer, found->culprits, view));
  } else {
    session.Print(RenderReport(report));
    for (const std::string& note : found->answer.notes) session.Note(note);
    session.Note("no flow fits: was there an agent then? `culprit hosts`, `culprit who ADDRESS`");
  }
  return found->culprits.empty() ? kExitFailed : kExitOk;
}

}  // namespace

Command AddAnswer(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("answer", "Who did what an abuse report says, and a reply to it");
  const auto args = std::make_shared<Args>();
  command->add_option("file", args->file, "The report; - = standard input")
      ->required()
      ->type_name("FILE");
  command->add_flag("--include-agent", args->include_agent, "Culprit's own agent may be it too");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunAnswer(session, *args); }};
}

}  // namespace culprit::cli
