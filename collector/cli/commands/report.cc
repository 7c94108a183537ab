// SPDX-License-Identifier: Apache-2.0
// `culprit report HOST|FINDING`.
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/incident_gather.h"
#include "collector/report/outline.h"
#include "common/file.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "The whole incident in one file: timeline, process tree, login and key, destinations with "
    "region "
    "and cost, bytes over\n"
    "time, what was changed, indicators, snapshots, gaps, next steps, and a draft of an answer to "
    "AWS. Of a host: all of its\n"
    "findings but false positives, from an hour before the first evidence on; without any, the "
    "process that sent most in\n"
    "the last day. Of a finding: that one. Without an option Markdown is printed. The HTML needs "
    "nothing from elsewhere: no\n"
    "script, no picture, no font. What a host said is escaped in both.\n"
    "With --json: the indicators, as --stix writes them.\n"
    "Exit codes: 0 written; 3 no such host or finding.\n"
    "\n"
    "Examples:\n"
    "  culprit report web-1 --html incident.html\n"
    "  culprit report 4f1c09a2b7d3e865 > ticket.md\n"
    "  culprit report web-1 --html incident.html --md incident.md --stix indicators.json\n"
    "Next: `culprit teardown HOST`, `culprit answer REPORT`.\n";

struct Args {
  std::string subject, since, html, markdown, stix;
};

Status WriteOut(Session& session, const std::string& path, const std::string& text) {
  if (path.empty()) return Ok();
  if (path == "-") {
    session.Print(text);
    return Ok();
  }
  TRY_VOID(WriteFileAtomically(path, text, 0600));
  session.Note("written: " + EscapeText(path));
  return Ok();
}

int RunReport(Session& session, const Args& args) {
  IncidentQuestion question;
  question.subject = args.subject;
  if (!args.since.empty()) {
    const auto since = session.TimeNs("--since", args.since);
    if (!since) return session.Fail(since.error());
    question.since_ns = *since;
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto incident = GatherIncident(session, *client, question);
  if (!incident) return session.Fail(incident.error());
  const report::Outline outline = report::MakeOutline(*incident);
  for (const auto& [path, text] : {std::pair(args.html, report::WriteHtml(outline)),
                                   std::pair(args.markdown, report::WriteMarkdown(outline)),
                                   std::pair(args.stix, report::IndicatorsJson(*incident))}) {
    if (const Status written = WriteOut(session, path, text); !written)
      return session.Fail(written.error());
  }
  const bool none = args.html.empty() && args.markdown.empty() && args.stix.empty();
  if (session.json()) {
    session.Print(report::IndicatorsJson(*incident));
  } else if (none) {
    session.Print(report::WriteMarkdown(outline));
  }
  return kExitOk;
}

}  // namespace

Command AddReport(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "One incident in one file: HTML, Markdown, indicators");
  const auto args = std::make_shared<Args>();
  command->add_option("SUBJECT", args->subject, "A host, or the id of a finding")
      ->required()
      ->type_name("HOST|FINDING");
  command->add_option("--html", args->html, "Write the page to this file; - = standard output")
      ->type_name("FILE");
  command->add_option("--md", args->markdown, "Write Markdown to this file")->type_name("FILE");
  command->add_option("--stix", args->stix, "Write the indicators as STIX 2.1 to this file")
      ->type_name("FILE");
  command->add_option("--since", args->since, "Report from here on")->type_name("TIME");
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunReport(session, *args); }};
}

}  // namespace culprit::cli
