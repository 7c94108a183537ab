// SPDX-License-Identifier: Apache-2.0
// `culprit findings` and `culprit finding ID`.
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <map>
#include <optional>

#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "collector/format/ecs.h"
#include "collector/format/ocsf.h"

namespace culprit::cli {
namespace {

constexpr const char* kListFooter =
    "What the detectors concluded, newest first. A finding is one behaviour of one group of "
    "processes on one host, and is\n"
    "updated while it goes on. With --follow, new ones and changes are shown as they come.\n"
    "Exit codes: 3 = none matches.\n"
    "\n"
    "Examples:\n"
    "  culprit findings --severity high\n"
    "  culprit findings --host web-1 --since 24h --json\n"
    "  culprit findings --follow\n"
    "  culprit findings --follow --export ocsf >> findings.json\n"
    "Next: `culprit finding ID` for the whole story.\n";
constexpr const char* kOneFooter =
    "A finding that is called a false positive keeps later ones of the same rule, executable (by "
    "its SHA-256; of shells,\n"
    "interpreters and tools like curl also the command line) and targets (of a scan: networks) in "
    "that state. One that goes on to\n"
    "other targets is open again.\n"
    "\n"
    "Examples:\n"
    "  culprit finding 4f1c09a2b7d3e865\n"
    "  culprit finding 4f1c --ack \"seen, isolating the instance\"\n"
    "  culprit finding 4f1c --false-positive \"our own scanner\"\n";

struct ListArgs {
  std::string host, rule, severity, since, form;
  std::vector<std::string> states;
  std::uint32_t limit = 100;
  bool follow = false;
};
struct OneArgs {
  std::string id, acknowledge, close, false_positive, reopen;
};

const std::map<std::string, v1::Severity> kSeverities = {{"low", v1::SEVERITY_LOW},
                                                         {"medium", v1::SEVERITY_MEDIUM},
                                                         {"high", v1::SEVERITY_HIGH},
                                                         {"critical", v1::SEVERITY_CRITICAL}};
const std::map<std::string, v1::FindingState> kStates = {
    {"open", v1::FINDING_STATE_OPEN},
    {"acknowledged", v1::FINDING_STATE_ACKNOWLEDGED},
    {"closed", v1::FINDING_STATE_CLOSED},
    {"false-positive", v1::FINDING_STATE_FALSE_POSITIVE}};

Result<v1::ListFindingsRequest> RequestOf(Session& session, const ListArgs& args) {
  v1::ListFindingsRequest request;
  request.set_host(args.host);
  request.set_rule(args.rule);
  if (!args.severity.empty()) request.set_min_severity(kSeverities.at(args.severity));
  for (const std::string& state : args.states) request.add_states(kStates.at(state));
  if (!args.since.empty()) {
    TRY(const std::int64_t since, session.TimeNs("--since", args.since));
    request.set_since_ns(since);
  }
  request.set_limit(args.limit);
  return request;
}

// One line for a machine.
std::string LineOf(const v1::Finding& finding, const std::string& form) {
  if (form == "ocsf") return OcsfFinding(finding, OcsfActivityOf(finding)) + "\n";
  return (form == "ecs" ? EcsFinding(finding) : ToJson(finding)) + "\n";
}

int RunList(Session& session, const ListArgs& args) {
  const bool lines = session.json() || !args.form.empty();
  const auto request = RequestOf(session, args);
  if (!request) return session.Fail(request.error());
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  if (args.follow) {
    const Status followed = client->FollowFindings(*request, [&](const v1::Finding& finding) {
      session.Print(lines ? LineOf(finding, args.form) : RenderFindings({finding}, session.view()));
      return true;
    });
    return followed ? kExitOk : session.Fail(followed.error());
  }
  const auto answer = client->ListFindings(*request);
  if (!answer) return session.Fail(answer.error());
  if (answer->findings_size() == 0) {
    session.Note("no finding matches");
    return kExitNoMatch;
  }
  if (lines) {
    for (const auto& finding : answer->findings()) session.Print(LineOf(finding, args.form));
  } else {
    session.Print(
        RenderFindings({answer->findings().begin(), answer->findings().end()}, session.view()));
  }
  return kExitOk;
}

std::optional<v1::SetFindingStateRequest> DecisionOf(const OneArgs& args) {
  v1::SetFindingStateRequest request;
  const auto set = [&](const std::string& reason, v1::FindingState state) {
    if (reason.empty()) return;
    request.set_state(state);
    request.set_reason(reason);
  };
  set(args.acknowledge, v1::FINDING_STATE_ACKNOWLEDGED);
  set(args.close, v1::FINDING_STATE_CLOSED);
  set(args.false_positive, v1::FINDING_STATE_FALSE_POSITIVE);
  set(args.reopen, v1::FINDING_STATE_OPEN);
  if (request.state() == v1::FINDING_STATE_UNSPECIFIED) return std::nullopt;
  return request;
}

int RunOne(Session& session, const OneArgs& args) {
  v1::ListFindingsRequest request;
  request.set_id(args.id);
  request.set_limit(2);
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto answer = client->ListFindings(request);
  if (!answer) return session.Fail(answer.error());
  if (answer->findings_size() == 0) {
    session.Note(fmt::format("there is no finding {}", args.id));
    return kExitNoMatch;
  }
  if (answer->findings_size() > 1) {
    return session.Fail(
        InvalidArgument("several findings begin with " + args.id + ": give more digits"));
  }
  v1::Finding finding = answer->findings(0);
  if (auto decision = DecisionOf(args)) {
    decision->set_id(finding.id());
    auto decided = client->SetFindingState(*decision);
    if (!decided) return session.Fail(decided.error());
    finding = std::move(*decided);
  }
  session.Print(session.json() ? ToJson(finding) + "\n" : RenderFinding(finding, session.view()));
  if (!args.false_positive.empty() && finding.exe_sha256().empty()) {
    session.Note("the hash of its executable is not known: only this finding is kept quiet");
  }
  return kExitOk;
}

template <class Map>
std::vector<std::string> KeysOf(const Map& map) {
  std::vector<std::string> keys;
  keys.reserve(map.size());
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

}  // namespace

Command AddFindings(CLI::App& app) {
  CLI::App* command = app.add_subcommand("findings", "What the detectors found");
  const auto args = std::make_shared<ListArgs>();
  command->add_option("--host", args->host, "Only on this host")->type_name("HOST");
  command->add_option("--rule", args->rule, "Only of this rule")->type_name("RULE");
  command->add_option("--severity", args->severity, "This and above")
      ->check(CLI::IsMember(KeysOf(kSeverities)));
  command->add_option("--state", args->states, "Only in this state; may be repeated")
      ->check(CLI::IsMember(KeysOf(kStates)));
  command->add_option("--since", args->since, "Whose newest evidence is not older")
      ->type_name("TIME");
  command->add_option("--limit", args->limit, "Findings to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command->add_flag("--follow,-f", args->follow, "Go on with new ones and changes");
  command
      ->add_option("--export", args->form,
                   "One line of JSON each as ocsf (Detection Finding of schema 1.2.0) or ecs "
                   "(version 8.11) has it")
      ->type_name("FORM")
      ->check(CLI::IsMember({"ocsf", "ecs"}));
  command->footer(kListFooter);
  return {command, [args](Session& session) { return RunList(session, *args); }};
}

Command AddFinding(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("finding", "One finding: the whole story, and what you decide about it");
  const auto args = std::make_shared<OneArgs>();
  command->add_option("ID", args->id, "Its id, or the first digits of it")
      ->required()
      ->type_name("ID");
  auto* decision = command->add_option_group("decision");
  decision->add_option("--ack", args->acknowledge, "Acknowledge it, with a reason")
      ->type_name("REASON");
  decision->add_option("--close", args->close, "Close it, with a reason")->type_name("REASON");
  decision->add_option("--false-positive", args->false_positive, "It is none, with a reason")
      ->type_name("REASON");
  decision->add_option("--reopen", args->reopen, "Open it again, with a reason")
      ->type_name("REASON");
  decision->require_option(0, 1);
  command->footer(kOneFooter);
  return {command, [args](Session& session) { return RunOne(session, *args); }};
}

}  // namespace culprit::cli
