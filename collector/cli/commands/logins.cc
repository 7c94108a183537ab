// SPDX-License-Identifier: Apache-2.0
// `culprit logins` and `culprit session`.
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>

#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/hex.h"

namespace culprit::cli {
namespace {

constexpr const char* kLoginsFooter =
    "Who came in, newest first: by what, from where, with which key, and how many attempts from "
    "that "
    "address had failed\n"
    "within the hour before. Text comes from the host's log, which a local user can write to: SURE "
    "is the weakest link\n"
    "between the line and what the kernel saw (`culprit session ID` names each). \"(not logged)\": "
    "a "
    "session that no line told about.\n"
    "\n"
    "Examples:\n"
    "  culprit logins --since 1d\n"
    "  culprit logins --key SHA256:MkYY9qiVsFGBC5WkjoClCkwEFW5iSjcGQF7m4n4H7Cw\n"
    "  culprit logins --failed --from 198.51.100.0/24 --host web-1\n"
    "Next: `culprit session ID`.\n";

constexpr const char* kSessionFooter =
    "How it began and what each link rests on; its processes, those that went on after the logout "
    "included; its bytes and\n"
    "destinations; what it changed of the host's SSH: keys, configuration, servers. The login's "
    "own "
    "connection is told apart:\n"
    "what is copied over SSH passes there. Connections that sshd makes for the client (ssh -D, -L, "
    "-J, -R) are marked\n"
    "\"[for USER@ADDRESS]\".\n"
    "With --json one document: {\"login\", \"processes\", \"connection\", \"flows\", \"totals\", "
    "\"destinations\", \"cut\", \"ssh_changes\"}.\n"
    "\n"
    "Examples:\n"
    "  culprit session 9f86d081884c7d65\n"
    "  culprit session 9f86d081884c7d65 --flows 1000 --json\n"
    "Next: `culprit process ID`, `culprit logins --from ADDRESS`.\n";

struct Args {
  TimeArgs time;
  std::string host, user, from, key;
  bool failed = false;
  std::uint32_t limit = 100;
};

template <class Rows>
void PrintRows(Session& session, const Rows& rows,
               std::string (*render)(const std::vector<typename Rows::value_type>&, const View&)) {
  if (!session.json()) return session.Print(render({rows.begin(), rows.end()}, session.view()));
  for (const auto& row : rows) session.Print(ToJson(row) + "\n");
}

int RunLogins(Session& session, const Args& args) {
  v1::ListLoginsRequest request;
  auto range = ToTimeRange(args.time, session);
  if (!range) return session.Fail(range.error());
  *request.mutable_time() = std::move(*range);
  request.set_host(args.host);
  request.set_user(args.user);
  request.set_from_address(args.from);
  request.set_key_fingerprint(args.key);
  request.set_failed(args.failed);
  request.set_limit(args.limit);
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto answer = client->ListLogins(request);
  if (!answer) return session.Fail(answer.error());
  const int rows = answer->logins_size() + answer->failures_size();
  if (rows == 0) {
    session.Note("no login matches: a wider time or fewer conditions?");
    return kExitNoMatch;
  }
  if (args.failed) {
    PrintRows(session, answer->failures(), &RenderLoginFailures);
  } else {
    PrintRows(session, answer->logins(), &RenderLogins);
  }
  if (rows == static_cast<int>(args.limit)) {
    session.Note(fmt::format("these are the newest {}; --limit shows more", args.limit));
  }
  return kExitOk;
}

constexpr std::uint32_t kMaxChanges = 1'000;
constexpr std::int64_t kMinute = 60LL * 1'000'000'000;

// What the session's processes changed of the host's SSH, oldest first.
Result<std::vector<v1::PostureChangeRow>> ChangesBy(const v1::GetSessionResponse& answer,
                                                    Client& client) {
  std::set<std::string> members;
  std::int64_t last = 0;
  bool over = answer.login().ended_ns() != 0 && !answer.cut();
  for (const auto& member : answer.processes()) {
    members.insert(member.process().process_id());
    over = over && member.process().exit_ns() != 0;
    last = std::max(last, member.process().exit_ns());
  }
  std::vector<v1::PostureChangeRow> changes;
  if (members.empty()) return changes;
  v1::GetPostureRequest request;
  request.set_host(answer.login().agent_id());
  request.mutable_time()->set_from_ns(std::max<std::int64_t>(answer.login().began_ns(), 1));
  // A change is looked at after it was made.
  if (over) request.mutable_time()->set_to_ns(std::max(last, answer.login().ended_ns()) + kMinute);
  request.set_change_limit(kMaxChanges);
  TRY(const v1::GetPostureResponse posture, client.GetPosture(request));
  for (const v1::HostPosture& host : posture.hosts())
    for (const v1::PostureChangeRow& change : host.changes())
      if (members.contains(change.process_id())) changes.push_back(change);
  std::ranges::stable_sort(changes, {}, &v1::PostureChangeRow::at_ns);
  return changes;
}

std::string SessionJson(const v1::GetSessionResponse& answer,
                        const std::vector<v1::PostureChangeRow>& changes) {
  std::string list;
  for (const v1::PostureChangeRow& change : changes)
    list += (list.empty() ? "" : ",") + ToJson(change);
  std::string json = ToJson(answer);
  json.pop_back();
  return json + R"(,"ssh_changes":[)" + list + "]}\n";
}

struct SessionArgs {
  std::string session, host;
  std::uint32_t flows = 20;
};

int RunSession(Session& session, const SessionArgs& args) {
  if (args.session.size() != 16 || !HexDecode(args.session)) {
    return session.Fail(InvalidArgument(
        "expected a session id of 16 hexadecimal digits: `culprit logins` shows it"));
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  v1::GetSessionRequest request;
  request.set_session(args.session);
  request.set_host(args.host);
  request.set_flow_limit(args.flows);
  const auto answer = client->GetSession(request);
  if (!answer) return session.Fail(answer.error());
  auto changes = ChangesBy(*answer, *client);
  if (!changes) {
    session.Note("what it changed of SSH is not known: " + changes.error().message);
    changes.emplace();
  }
  session.Print(session.json() ? SessionJson(*answer, *changes)
                               : RenderSession(*answer, *changes, session.view()));
  return kExitOk;
}

}  // namespace

Command AddLogins(CLI::App& app) {
  CLI::App* command = app.add_subcommand("logins", "Who logged in: from where, by which key");
  const auto args = std::make_shared<Args>();
  AddTimeOptions(*command, args->time);
  command->add_option("--host", args->host, "Only on this host")->type_name("HOST");
  command->add_option("--user", args->user, "Only as this user")->type_name("NAME");
  command->add_option("--from", args->from, "Only from this address or block")->type_name("CIDR");
  auto* key = command->add_option("--key", args->key, "Only with this key: SHA256:…")
                  ->type_name("FINGERPRINT");
  command->add_flag("--failed", args->failed, "Failed attempts instead, in sums by minute")
      ->excludes(key);
  command->add_option("--limit", args->limit, "Rows to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command->footer(kLoginsFooter);
  return {command, [args](Session& session) { return RunLogins(session, *args); }};
}

Command AddSession(CLI::App& app) {
  CLI::App* command = app.add_subcommand("session", "One login session: what it did");
  const auto args = std::make_shared<SessionArgs>();
  command->add_option("session", args->session, "Session id of 16 hex digits")
      ->required()
      ->type_name("");
  command->add_option("--host", args->host, "Hostname, instance id or agent id")->type_name("HOST");
  command->add_option("--flows", args->flows, "Flows to show")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  command->footer(kSessionFooter);
  return {command, [args](Session& session) { return RunSession(session, *args); }};
}

}  // namespace culprit::cli
