// SPDX-License-Identifier: Apache-2.0
// `culprit join vpcflow FILE`.
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/join_view.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Reads a VPC flow log (versions 2 to 8, plain or gzip; a header line says the order of its "
    "fields, without one it is that\n"
    "of AWS's documentation) and says for each row which process on which host it was. A row is "
    "one way of a connection within\n"
    "one window; the flow must overlap it by the host's clock, give or take 5 s.\n"
    "With --json a line for each row: {\"row\", \"exact\", \"flows\"}.\n"
    "Exit codes: 3 = no row has a flow.\n"
    "\n"
    "Examples:\n"
    "  culprit join vpcflow flow.log.gz\n"
    "  culprit join vpcflow --rejected --json - < flow.log\n"
    "Next: `culprit process ID`.\n";

struct Args {
  std::string kind, file;
  std::uint32_t limit = 1000;
  bool rejected = false;
};

struct Sums {
  std::size_t rows = 0, joined = 0;
  bool more = false;
};

// Calls `take` for each row.
template <class Take>
Result<Sums> JoinAll(Client& client, const Args& args, VpcFlowReader& reader, const Take& take) {
  TRY(const v1::ListHostsResponse hosts, client.ListHosts({}));
  const OwnHosts own(hosts);
  Sums sums;
  VpcFlowRow row;
  while (reader.Next(&row)) {
    if (args.rejected && !row.rejected) continue;
    if (sums.rows == args.limit) {
      sums.more = true;
      break;
    }
    const RowEnds ends = EndsOf(row, own);
    TRY(v1::ListFlowsResponse answer, client.ListFlows(JoinRequest(row, ends)));
    std::vector<v1::FlowRow> flows(answer.flows().begin(), answer.flows().end());
    JoinedRow joined = JoinRow(row, ends, std::move(flows));
    ++sums.rows;
    sums.joined += joined.flows.empty() ? 0U : 1U;
    take(std::move(joined));
  }
  return sums;
}

void Note(Session& session, const Args& args, const VpcFlowStats& stats, const Sums& sums) {
  for (const std::string& bad : stats.bad) {
    session.Note(fmt::format("{}:{}", EscapeText(args.file), bad));
  }
  if (stats.bad_lines > stats.bad.size()) {
    session.Note(fmt::format("{} bad lines in all", stats.bad_lines));
  }
  if (!stats.cut_short.empty()) session.Note(EscapeText(stats.cut_short));
  if (stats.no_data > 0) {
    session.Note(
        fmt::format("{} rows say that nothing passed, or that AWS lost it", stats.no_data));
  }
  session.Note(fmt::format("{} of {} rows have their flow{}", sums.joined, sums.rows,
                           sums.more ? "; there are more rows: --limit" : ""));
}

int RunJoin(Session& session, const Args& args) {
  auto reader = VpcFlowReader::Open(args.file);
  if (!reader) {
    session.Fail(reader.error());
    return kExitUsage;
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  std::vector<JoinedRow> rows;
  const auto sums = JoinAll(*client, args, **reader, [&](JoinedRow joined) {
    if (session.json()) {
      session.Print(JoinedJson(joined));
    } else {
      rows.push_back(std::move(joined));
    }
  });
  if (!sums) return session.Fail(sums.error());
  if (!session.json()) session.Print(RenderJoined(rows, session.view()));
  Note(session, args, (*reader)->stats(), *sums);
  return sums->joined == 0 ? kExitNoMatch : kExitOk;
}

}  // namespace

Command AddJoin(CLI::App& app) {
  CLI::App* command = app.add_subcommand("join", "Which process each row of a VPC flow log was");
  const auto args = std::make_shared<Args>();
  command->add_option("kind", args->kind, "vpcflow")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"vpcflow"}));
  command->add_option("file", args->file, "The log; - = standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--limit", args->limit, "Rows to read")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->add_flag("--rejected", args->rejected, "Only rows that a rule rejected");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunJoin(session, *args); }};
}

}  // namespace culprit::cli
