// SPDX-License-Identifier: Apache-2.0
// `culprit`: the operator's command. Parses the command line, catches signals, runs one command of
// commands/. Stage: cli. Thread: the command's, and one that waits for signals.
#include <pthread.h>
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <thread>
#include <vector>

#include "collector/cli/commands/commands.h"
#include "common/completion.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Times: 2026-03-01T02:03:04Z, \"2026-03-01 19:03 PDT\", \"2026-03-01 02:03 +05:30\", 02:03Z "
    "(the latest such time),\n"
    "  10m or \"10m ago\", now. A time without a zone is taken as UTC (with --local: as local "
    "time), and a note says so.\n"
    "Sizes are in units of 1024 (KiB, MiB, GiB). With --json: one document a line, points in time "
    "as RFC 3339 in UTC,\n"
    "  integers over 2^53 as strings. Colours only on a terminal, never with NO_COLOR set.\n"
    "Credentials: --credentials, CULPRIT_CREDENTIALS, ~/.config/culprit/operator, "
    "/etc/culprit/operator,\n"
    "  /var/lib/culprit/collector/pki: a directory with ca.pem, operator.pem and operator.key.\n"
    "Exit codes: 0 done; 1 failed; 2 wrong command line, no credentials; 3 nothing found; 4 cannot "
    "reach the collector;\n"
    "  5 not authorised (certificates); 130 interrupted.\n"
    "\n"
    "Examples:\n"
    "  culprit findings --follow\n"
    "  culprit hosts\n"
    "  culprit top\n"
    "  culprit who 198.51.100.7:22 --at \"2026-03-01 19:03 PDT\"\n"
    "  culprit flows --since 1h --group-by process --collector collector.example:7443\n";

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  const std::string group = "Common options";
  app.add_option("--collector", options.collector,
                 "HOST:PORT of the collector (default CULPRIT_COLLECTOR, else 127.0.0.1:7443)")
      ->type_name("ADDRESS")
      ->group(group);
  app.add_option("--credentials", options.credentials,
                 "Directory of ca.pem, operator.pem and operator.key")
      ->type_name("DIR")
      ->group(group);
  app.add_option("--timeout", options.timeout, "How long to wait for an answer")
      ->type_name("SPAN")
      ->capture_default_str()
      ->group(group);
  app.add_flag("--json", options.json, "One JSON document a line")->group(group);
  app.add_flag("--wide", options.wide, "Cut nothing to the width of the terminal")->group(group);
  auto* utc = app.add_flag("--utc", options.utc, "Times in UTC (the default)")->group(group);
  app.add_flag("--local", options.local, "Times in the local zone")->group(group)->excludes(utc);
}

int Usage(const std::string& message, const std::string& command) {
  fmt::print(stderr, "culprit: error: {}\nTry `culprit {}--help`.\n", EscapeText(message), command);
  return kExitUsage;
}

int UnknownCommand(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  const std::string nearest = NearestMatch(word, names);
  return Usage(fmt::format("there is no command \"{}\"{}", word,
                           nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest)),
               "");
}

// Waits for SIGINT, SIGTERM and SIGHUP, which must be blocked in every thread, and interrupts the
// session.
class SignalWaiter {
 public:
  SignalWaiter(Session& session, const sigset_t& signals)
      : thread_([&session, signals](const std::stop_token& stop) {
          int signal = 0;
          while (sigwait(&signals, &signal) == 0 && !stop.stop_requested()) session.Interrupt();
        }) {}
  ~SignalWaiter() {
    thread_.request_stop();
    pthread_kill(thread_.native_handle(), SIGHUP);  // only to wake it
  }
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

 private:
  std::jthread thread_;
};

int RunCommand(const Command& command, const GlobalOptions& options) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Session session(options);
  const SignalWaiter waiter(session, signals);
  return command.run(session);
}

int Main(int argc, char** argv) {
  CLI::App app("Which process did it, how it got in, and the proof.", "culprit");
  app.set_version_flag("--version,-V", "culprit " CULPRIT_VERSION, "Print the version");
  app.set_help_flag("--help,-h", "Print this help");
  app.get_formatter()->column_width(34);
  app.footer(kFooter);
  app.require_subcommand(0, 1);
  GlobalOptions options;
  AddGlobalOptions(app, options);
  const std::vector<Command> commands = {
      AddFindings(app), AddFinding(app), AddExplain(app),  AddAnswer(app), AddHosts(app),
      AddFlows(app),    AddWho(app),     AddProcess(app),  AddDns(app),    AddLogins(app),
      AddSession(app),  AddKeys(app),    AddPackets(app),  AddWhere(app),  AddCost(app),
      AddTop(app),      AddStatus(app),  AddSnapshot(app), AddVerify(app), AddJoin(app),
      AddImport(app),   AddSsh(app),     AddAlerts(app),   AddAudit(app),  AddReport(app), AddTeardown(app)};
  for (const Command& command : commands) AddGlobalOptions(*command.app, options);
  std::string shell;
  const CLI::App* completion = AddCompletion(app, &shell);
  const CLI::App* version = app.add_subcommand("version", "Print the version");

  std::string name;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return kExitOk;
  } catch (const CLI::CallForVersion& call) {
    fmt::print("{}\n", call.what());
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    if (app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-')
      return UnknownCommand(app, argv[1]);
    for (const CLI::App* command : app.get_subcommands()) name = command->get_name() + " ";
    return Usage(error.what(), name);
  }
  if (version->parsed()) {
    fmt::print("culprit " CULPRIT_VERSION "\n");
    return kExitOk;
  }
  if (completion->parsed()) {
    fmt::print("{}", CompletionScript(app, "culprit", shell));
    return kExitOk;
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return RunCommand(command, options);
  }
  fmt::print("{}", app.help());
  return kExitUsage;
}

}  // namespace
}  // namespace culprit::cli

int main(int argc, char** argv) {
  try {
    return culprit::cli::Main(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "culprit: error: {}\n", error.what());
    return culprit::cli::kExitFailed;
  }
}
