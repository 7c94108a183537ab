// SPDX-License-Identifier: Apache-2.0
// culprit-collector: command line and signals; collector.h and maintenance.h do the rest.
// Stage: wiring. Thread: this one; signals are blocked and taken one by one.
#include <pthread.h>
#include <spdlog/fmt/fmt.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <functional>

#include "collector/access_commands.h"
#include "collector/collector.h"
#include "collector/import_command.h"
#include "collector/maintenance.h"
#include "common/completion.h"
#include "common/log.h"
#include "common/sd_notify.h"
#include "common/text.h"

namespace culprit {
namespace {

// Documented in --help and the manual.
constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
// Added to `drain`: what the index and the journal may take to end before the process is ended.
constexpr unsigned kStopGraceSeconds = 20;

constexpr const char* kFooter =
    "Configuration: --config, else /etc/culprit/collector.toml, else the defaults. "
    "deploy/collector.toml has every key.\n"
    "Exit codes: 0 done; 1 failed while running; 2 wrong command line, configuration or "
    "certificates.\n"
    "\n"
    "Examples:\n"
    "  culprit-collector init                       # once: certificate authority, server and "
    "operator certificates\n"
    "  culprit-collector run\n"
    "  culprit-collector token create --for 1h      # for a host to enrol by\n"
    "  culprit-collector revoke i-0123456789abcdef0 --reason \"taken over\"\n"
    "  culprit-collector issue operator night --role responder --out ./night\n"
    "  culprit-collector import-spool ./evidence    # what agents put into a bucket, copied here\n"
    "  culprit-collector check-config --config deploy/collector.toml\n";

struct Options {
  std::string config, data_dir, pki_dir, listen, log_level, name, out;
  std::string role = "viewer", what, why;
  TokenArgs token;
  ImportArgs import_spool;
  bool json = false;
  std::vector<std::string> server_names;
};

Result<CollectorConfig> Effective(const Options& options) {
  TRY(CollectorConfig config, LoadCollectorConfig(options.config));
  if (!options.data_dir.empty()) config.data_dir = options.data_dir;
  if (!options.pki_dir.empty()) config.pki_dir = options.pki_dir;
  if (!options.log_level.empty()) config.log_level = options.log_level;
  config.server_names.insert(config.server_names.end(), options.server_names.begin(),
                             options.server_names.end());
  if (!options.listen.empty()) config.listen = options.listen;
  // What came from the command line is held to the rules of the file.
  return ParseCollectorConfig(FormatCollectorConfig(config), "command line");
}

int Fail(const Error& error, int exit_code) {
  fmt::print(stderr, "culprit-collector: error: {}\n", error.message);
  return exit_code;
}

// Wrong configuration and certificates end with 2, so that a unit does not restart into the same
// error for ever.
int ExitCodeOf(const Error& error) {
  return error.code == Code::kInvalidArgument ? kExitUsage : kExitFailed;
}

sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

using ReadConfig = std::function<Result<CollectorConfig>()>;

void Reload(Collector& collector, const ReadConfig& read) {
  SdReloading();
  const Status taken = collector.Reload(read());
  SdNotify(fmt::format("READY=1\nSTATUS=listening on port {}{}", collector.port(),
                       taken ? "" : "; the newest configuration was refused: see the log"));
}

// Runs until SIGINT or SIGTERM (Ok) or until the collector cannot go on.
Status Serve(Collector& collector, const sigset_t& signals, const ReadConfig& read) {
  const bool watchdog = SdWatchdogInterval().count() > 0;
  const timespec second{1, 0};
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &second);
    if (signal == SIGINT || signal == SIGTERM) {
      spdlog::info("stopping signal={}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
      return Ok();
    }
    if (signal == SIGHUP) Reload(collector, read);
    TRY_VOID(collector.Tick());
    if (watchdog) SdNotify("WATCHDOG=1");
  }
}

// A descriptor an agent: a shell's soft limit is 1,024.
void RaiseFileLimit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int Run(const CollectorConfig& config, const ReadConfig& read) {
  RaiseFileLimit();
  if (const Status log = InitLog("culprit-collector", config.log_level); !log)
    return Fail(log.error(), kExitUsage);
  const sigset_t signals = BlockSignals();
  auto collector = Collector::Start(config);
  if (!collector) {
    spdlog::error("cannot start: {}", collector.error().message);
    return ExitCodeOf(collector.error());
  }
  SdNotify(fmt::format("READY=1\nSTATUS=listening on port {}", (*collector)->port()));
  const Status served = Serve(**collector, signals, read);
  SdNotify("STOPPING=1");
  if (!served) spdlog::critical("{}", served.error().message);
  // A second signal, or a disk that never answers, ends the process at once: what is durable stays
  // durable.
  for (const int signal : {SIGINT, SIGTERM, SIGALRM}) std::signal(signal, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  alarm(static_cast<unsigned>(config.drain.count() / 1000) + kStopGraceSeconds);
  (*collector)->Stop();
  return served ? kExitOk : kExitFailed;
}

using Maintenance = std::function<Result<std::string>(const CollectorConfig&)>;

int RunMaintenance(const CollectorConfig& config, const Maintenance& command) {
  if (const Status log = InitLog("culprit-collector", config.log_level); !log)
    return Fail(log.error(), kExitUsage);
  const auto text = command(config);
  if (!text) return Fail(text.error(), ExitCodeOf(text.error()));
  fmt::print("{}", *text);
  return kExitOk;
}

void AddPlaces(CLI::App& app, Options& options) {
  app.add_option("--config", options.config, "Configuration file")->type_name("FILE");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warning or error")
      ->type_name("LEVEL");
}

void AddPki(CLI::App& app, Options& options) {
  app.add_option("--pki", options.pki_dir,
                 "Directory of the certificates (default: pki in data_dir)")
      ->type_name("DIR");
}

void AddDataDir(CLI::App& app, Options& options) {
  app.add_option("--dir", options.data_dir,
                 "Data directory (default: data_dir of the configuration)")
      ->type_name("DIR");
}

struct Command {
  CLI::App* app = nullptr;
  std::function<int(const CollectorConfig&)> run;
};

Command AddMaintenance(CLI::App& parent, const std::string& name, const std::string& help,
                       Maintenance run) {
  return {parent.add_subcommand(name, help), [run = std::move(run)](const CollectorConfig& config) {
            return RunMaintenance(config, run);
          }};
}

std::vector<Command> AddIssue(CLI::App& app, Options& options) {
  CLI::App* issue = app.add_subcommand("issue", "Make credentials");
  issue->require_subcommand(1);
  std::vector<Command> commands = {
      AddMaintenance(*issue, "agent", "For a host",
                     [&options](const CollectorConfig& c) {
                       return IssueAgentCommand(c, options.name, options.out);
                     }),
      AddMaintenance(*issue, "operator", "For a person who asks",
                     [&options](const CollectorConfig& c) {
                       return IssueOperatorCommand(c, options.name, options.role, options.out);
                     })};
  for (const Command& command : commands) {
    command.app->add_option("name", options.name, "1-64 of A-Z a-z 0-9 . _ -")
        ->required()
        ->type_name("");
    command.app
        ->add_option("--out", options.out, "Directory to write to (default: ./culprit-ROLE-NAME)")
        ->type_name("DIR");
    AddPlaces(*command.app, options);
    AddDataDir(*command.app, options);
    AddPki(*command.app, options);
  }
  commands.back()
      .app
      ->add_option("--role", options.role,
                   "viewer: asks; responder: also fetches packets and decides on findings; admin: "
                   "also reads the audit log")
      ->check(CLI::IsMember({"viewer", "responder", "admin"}))
      ->capture_default_str();
  return commands;
}

std::vector<Command> AddToken(CLI::App& app, TokenArgs& args) {
  CLI::App* token = app.add_subcommand("token", "Join tokens, by which hosts enrol");
  token->require_subcommand(1);
  std::vector<Command> commands = {
      AddMaintenance(*token, "create", "Make one and print it, once",
                     [&args](const CollectorConfig& c) { return CreateTokenCommand(c, args); }),
      AddMaintenance(*token, "list", "Those there are, without their secret",
                     [&args](const CollectorConfig& c) { return ListTokensCommand(c, args); }),
      AddMaintenance(*token, "revoke", "Take one back",
                     [&args](const CollectorConfig& c) { return RevokeTokenCommand(c, args); })};
  CLI::App* create = commands[0].app;
  create->add_option("--uses", args.uses, "How many hosts may use it")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  create->add_option("--for", args.life, "How long it is good")
      ->type_name("SPAN")
      ->capture_default_str();
  create->add_option("--host", args.host, "Only for this host id (i-..., machine-...)")
      ->type_name("HOST");
  create->add_option("--note", args.note, "What it is for, shown in lists")->type_name("TEXT");
  commands[2].app->add_option("ID", args.id, "As `token list` shows it")->required()->type_name("");
  for (const Command& command : {commands[0], commands[1]}) {
    command.app->add_flag("--json", args.json, "One JSON document a line");
  }
  return commands;
}

std::vector<Command> AddAccess(CLI::App& app, Options& options) {
  std::vector<Command> commands = AddToken(app, options.token);
  const Command hosts = AddMaintenance(
      app, "hosts", "Hosts that enrolled, by what proof and until when",
      [&options](const CollectorConfig& c) { return ListHostsCommand(c, options.json); });
  hosts.app->add_flag("--json", options.json, "One JSON document a line");
  const Command revoke = AddMaintenance(
      app, "revoke", "Cut a host off, at once: its connection, its certificate, its key",
      [&options](const CollectorConfig& c) { return RevokeCommand(c, options.what, options.why); });
  revoke.app->add_option("--reason", options.why, "Kept in the audit log")->type_name("TEXT");
  const Command allow = AddMaintenance(
      app, "allow", "Let a host enrol once more, for instance after it was reinstalled",
      [&options](const CollectorConfig& c) { return AllowCommand(c, options.what); });
  for (const Command& command : {revoke, allow}) {
    command.app
        ->add_option("HOST", options.what,
                     "Host id or agent id; of certificates made by hand: agent id or SHA-256")
        ->required()
        ->type_name("");
  }
  commands.insert(commands.end(), {hosts, revoke, allow});
  for (const Command& command : commands) {
    AddPlaces(*command.app, options);
    AddDataDir(*command.app, options);
  }
  return commands;
}

int RunImport(const CollectorConfig& config, const ImportArgs& args) {
  if (const Status log = InitLog("culprit-collector", config.log_level); !log)
    return Fail(log.error(), kExitUsage);
  const auto answer = ImportSpoolCommand(config, args);
  if (!answer) return Fail(answer.error(), ExitCodeOf(answer.error()));
  fmt::print("{}", answer->text);
  return answer->whole ? kExitOk : kExitFailed;
}

Command AddImport(CLI::App& app, Options& options) {
  CLI::App* import = app.add_subcommand(
      "import-spool",
      "Take evidence out of files: objects of an agent's bucket, or a spool (collector stopped); "
      "harmless to repeat. Exit code 1 if anything is missing or damaged");
  import->add_option("PATH", options.import_spool.paths, "Files, and directories of .clog files")
      ->required()
      ->type_name("");
  import
      ->add_option("--agent", options.import_spool.agent,
                   "Whose they are, where the path does not say it")
      ->type_name("ID");
  import->add_flag("--json", options.import_spool.json, "The report as one JSON document");
  AddPlaces(*import, options);
  AddDataDir(*import, options);
  AddPki(*import, options);
  return {import, [&options](const CollectorConfig& config) {
            return RunImport(config, options.import_spool);
          }};
}

std::vector<Command> AddCommands(CLI::App& app, Options& options) {
  std::vector<Command> commands = {
      {app.add_subcommand("run",
                          "Run the collector in the foreground; SIGHUP reads configuration "
                          "and certificates again"),
       [&options](const CollectorConfig& config) {
         return Run(config, [&options] { return Effective(options); });
       }},
      AddMaintenance(app, "check-config",
                     "Check configuration and certificates, print the effective configuration",
                     CheckConfigCommand),
      AddMaintenance(app, "reindex", "Rebuild the index from the journal (collector stopped)",
                     ReindexCommand),
      AddMaintenance(app, "verify", "Check the chain, hashes and seals of journal and audit log",
                     VerifyCommand)};
  for (const Command& command : commands) {
    AddPlaces(*command.app, options);
    AddDataDir(*command.app, options);
    AddPki(*command.app, options);
  }
  commands.front()
      .app->add_option("--listen", options.listen, "ADDRESS:PORT; port 0 = any free one")
      ->type_name("ADDRESS");
  const Command init = AddMaintenance(
      app, "init", "Make certificate authority and certificates; harmless to repeat", InitCommand);
  AddPlaces(*init.app, options);
  init.app
      ->add_option("--dir,--pki", options.pki_dir,
                   "Directory to make them in (default: pki in data_dir)")
      ->type_name("DIR");
  init.app
      ->add_option("--name", options.server_names,
                   "Name or address of this machine that clients dial; may be repeated")
      ->type_name("NAME");
  commands.push_back(init);
  commands.push_back(AddImport(app, options));
  for (Command& command : AddIssue(app, options)) commands.push_back(std::move(command));
  for (Command& command : AddAccess(app, options)) commands.push_back(std::move(command));
  return commands;
}

int Main(int argc, char** argv) {
  umask(0027);
  CLI::App app("Takes evidence from agents, keeps it, answers operators.", "culprit-collector");
  app.set_version_flag("--version,-V", "culprit-collector " CULPRIT_VERSION, "Print the version");
  app.set_help_flag("--help,-h", "Print this help");
  app.get_formatter()->column_width(30);
  app.footer(kFooter);
  app.require_subcommand(1);
  Options options;
  const std::vector<Command> commands = AddCommands(app, options);
  std::string shell;
  const CLI::App* completion = AddCompletion(app, &shell);
  const CLI::App* version = app.add_subcommand("version", "Print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return kExitOk;
  } catch (const CLI::CallForVersion& call) {
    fmt::print("{}\n", call.what());
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "culprit-collector: error: {}\nTry `culprit-collector --help`.\n",
               EscapeText(error.what()));
    return kExitUsage;
  }
  if (version->parsed()) {
    fmt::print("culprit-collector " CULPRIT_VERSION "\n");
    return kExitOk;
  }
  if (completion->parsed()) {
    fmt::print("{}", CompletionScript(app, "culprit-collector", shell));
    return kExitOk;
  }
  const auto config = Effective(options);
  if (!config) return Fail(config.error(), kExitUsage);
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.run(*config);
  }
  return kExitUsage;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  try {
    return culprit::Main(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "culprit-collector: error: {}\n", error.what());
    return 1;
  }
}
