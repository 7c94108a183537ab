// SPDX-License-Identifier: Apache-2.0
// culprit-agent: the command line of the sensor process. Options and signals only; agent.h has the
// rest.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "agent/agent.h"
#include "agent/capture_replay.h"
#include "agent/config.h"
#include "agent/daemon.h"
#include "agent/enrol_options.h"
#include "agent/enrol_worker.h"
#include "agent/sink_agent_id.h"
#include "agent/snapshot_command.h"
#include "agent/snapshot_writer.h"
#include "agent/source/bpf_source.h"
#include "agent/ssh_check_command.h"
#include "agent/triage_command.h"
#include "common/bundle_report.h"
#include "common/bundle_summary.h"
#include "common/completion.h"
#include "common/file.h"
#include "common/log.h"

namespace culprit {
namespace {

constexpr const char* kVersion = CULPRIT_VERSION;
constexpr const char* kDefaultConfig = "/etc/culprit/agent.toml";

enum ExitCode {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitConfig = 3,
  kExitPrivileges = 4,
  kExitNotRunning = 5
};

constexpr const char* kFooter =
    "Exit codes: 0 done; 1 failed; 2 wrong options; 3 wrong configuration; 4 not permitted (run as "
    "root); "
    "5 no agent is running (status), no collector answers (enrol).\n"
    "Examples:\n"
    "  culprit-agent check-config\n"
    "  sudo culprit-agent run --collector 192.0.2.10:7443\n"
    "  sudo culprit-agent status --json\n"
    "  sudo culprit-agent run --data /tmp/agent --record events.rec   # then, as anybody:\n"
    "  culprit-agent replay events.rec --print\n"
    "  sudo culprit-agent ssh-check\n"
    "  sudo culprit-agent triage\n"
    "  culprit-agent replay capture.pcapng.zst --host 192.0.2.7 --to 127.0.0.1:7443";

struct Options {
  std::string config = kDefaultConfig;
  std::string data, collector, record, file, log_level, out, process_map, name;
  std::vector<std::string> hosts;
  std::string case_id, operator_name, key, metadata;
  unsigned tier = 2;
  bool json = false, metrics = false, print = false, config_given = false;
};

int Fail(const Error& error, ExitCode code) {
  std::cerr << "culprit-agent: " << error.message << "\n";
  return code;
}

int FailBy(const Error& error) {
  return Fail(error, error.code == Code::kPermissionDenied ? kExitPrivileges : kExitFailed);
}

// The file, then what the command line says.
Result<AgentConfig> Configuration(const Options& options) {
  TRY(AgentConfig config, LoadAgentConfig(options.config, options.config_given));
  if (!options.data.empty()) config.state_dir = options.data;
  if (!options.collector.empty()) {
    config.collector.address = options.collector;
    config.sink = SinkOptions();
  }
  if (!options.log_level.empty()) config.log_level = options.log_level;
  TRY_VOID(ValidateAgentConfig(config));
  return config;
}

Result<std::unique_ptr<EventSource>> OpenKernel(const AgentConfig& config) {
  BpfSourceOptions options;
  options.cgroup_path = config.kernel.cgroup_path;
  options.btf_path = config.kernel.btf_path;
  options.disabled_hooks = config.kernel.disabled_hooks;
  options.measure_cost = config.kernel.measure_cost;
  return OpenBpfSource(options);
}

// `enrolling`: the key and the certificate may come later.
Result<SenderOptions> SenderOptionsOf(const AgentConfig& config, bool enrolling) {
  SenderOptions options;
  options.program = config.SenderProgram();
  options.user = config.sender.user;
  options.agent_version = kVersion;
  if (config.sink.enabled()) {
    options.sink = config.sink;
    options.sink.imds_endpoint = config.identity.endpoint;
    TRY(options.sink.agent_id, SinkAgentId(config.state_dir));
    return options;
  }
  options.collector = config.collector.address;
  options.server_name = config.collector.server_name;
  options.ca_path = config.collector.ca;
  options.certificate_path = config.collector.certificate;
  options.key_path = config.collector.key;
  TRY(options.enrol_address, config.EnrolAddress());
  options.enrolling = enrolling;
  return options;
}

int RunAgent(AgentSetup setup) {
  if (auto log = InitLog("culprit-agent", setup.config.log_level); !log)
    return Fail(log.error(), kExitFailed);
  if (!setup.replay) KeepMemorySmall();  // a replay is over soon, and pages cost it time
  auto stop = StopSignals(!setup.read_config);
  if (!stop) return Fail(stop.error(), kExitFailed);
  UniqueFd reload;
  if (setup.read_config) {
    auto asked = ReloadSignal();
    if (!asked) return Fail(asked.error(), kExitFailed);
    reload = std::move(*asked);
    setup.reload_fd = reload.get();
  }
  setup.version = kVersion;
  const AgentConfig config = setup.config;
  std::unique_ptr<EnrolWorker> enrolling;
  if (config.Sends() && !setup.print) {
    if (!setup.replay && !config.sink.enabled())
      enrolling = EnrolWorker::StartIfAsked(config, kVersion);
    const bool waits = enrolling != nullptr;
    setup.sender_options = [waits](const AgentConfig& now) { return SenderOptionsOf(now, waits); };
  } else if (!setup.print) {
    spdlog::warn("neither a collector nor a sink is configured: evidence stays in the spool dir={}",
                 config.SpoolDirectory());
  }
  auto agent = Agent::Create(std::move(setup));
  if (!agent) return FailBy(agent.error());
  if (auto ran = (*agent)->Run(stop->get()); !ran) return FailBy(ran.error());
  return kExitOk;
}

int Run(const Options& options) {
  auto config = Configuration(options);
  if (!config) return Fail(config.error(), kExitConfig);
  if (auto permitted = CheckPrivileges(); !permitted)
    return Fail(permitted.error(), kExitPrivileges);
  AgentSetup setup;
  setup.config = *config;
  setup.record_path = options.record;
  setup.config_path = options.config;
  setup.read_config = [options] { return Configuration(options); };
  setup.open_source = [kept = *config](const UserEventSink&) { return OpenKernel(kept); };
  return RunAgent(std::move(setup));
}

constexpr std::size_t kMaxProcessMapBytes = std::size_t{16} << 20;

Result<CaptureReplayOptions> CaptureOptions(const Options& options) {
  CaptureReplayOptions capture;
  capture.path = options.file;
  capture.name = options.name;
  for (const std::string& host : options.hosts) {
    auto cidr = Cidr::Parse(host);
    if (!cidr) return std::move(cidr).error().Context("--host");
    capture.hosts.push_back(*cidr);
  }
  if (!options.process_map.empty()) {
    TRY(const std::string text, ReadWholeFile(options.process_map, kMaxProcessMapBytes));
    auto map = ParseProcessMap(text);
    if (!map) return std::move(map).error().Context(options.process_map);
    capture.processes = std::move(*map);
  }
  return capture;
}

// A capture, a Zeek log, a VPC flow log, or a recording of `run --record`: its first bytes tell.
Result<std::unique_ptr<EventSource>> OpenReplay(const CaptureReplayOptions& capture,
                                                UserEventSink user_events) {
  auto recording = ReplaySource::Open(capture.path, user_events);
  if (recording) return std::unique_ptr<EventSource>(std::move(*recording));
  TRY(auto source, CaptureReplay::Open(capture, std::move(user_events)));
  return std::unique_ptr<EventSource>(std::move(source));
}

int Replay(const Options& options) {
  auto config = Configuration(options);
  if (!config) return Fail(config.error(), kExitConfig);
  auto capture = CaptureOptions(options);
  if (!capture) return Fail(capture.error(), kExitUsage);
  AgentSetup setup;
  setup.config = *config;
  setup.replay = true;
  setup.print = options.print || !options.out.empty();
  setup.print_path = options.out;
  const auto stats = std::make_shared<CaptureReplayStats>();
  capture->stats = stats;
  setup.open_source = [capture = *capture](UserEventSink user_events) {
    return OpenReplay(capture, std::move(user_events));
  };
  const int code = RunAgent(std::move(setup));
  if (code == kExitOk) std::cerr << FormatReplayStats(*stats);
  return code;
}

// A mistake in the file is when the running agent is asked most: it goes on with what it has.
int ShowStatus(const Options& options) {
  std::string state_dir = options.data;
  if (state_dir.empty()) {
    const auto config = Configuration(options);
    if (!config)
      std::cerr
          << "culprit-agent: " << config.error().message
          << "\nculprit-agent: asking in the default state directory (--data names another)\n";
    state_dir = config ? config->state_dir : AgentConfig{}.state_dir;
  }
  auto answer = AskStatus(state_dir, options.metrics ? StatusForm::kMetrics
                                     : options.json  ? StatusForm::kJson
                                                     : StatusForm::kText);
  if (!answer) {
    const bool absent = answer.error().code == Code::kNotFound;
    return absent ? Fail(answer.error(), kExitNotRunning) : FailBy(answer.error());
  }
  std::cout << *answer;
  return kExitOk;
}

int Snapshot(const Options& options) {
  auto config = Configuration(options);
  if (!config) return Fail(config.error(), kExitConfig);
  SnapshotCommand command;
  command.config = *config;
  command.version = kVersion;
  command.out = options.out;
  command.case_id = options.case_id;
  command.operator_name = options.operator_name;
  command.last_tier = options.tier;
  command.json = options.json;
  if (auto taken = RunSnapshot(command); !taken) return FailBy(taken.error());
  return kExitOk;
}

int VerifySnapshot(const Options& options) {
  auto report = VerifyBundleFile(options.file, options.key, options.json);
  if (!report) {
    const bool usage = report.error().code == Code::kInvalidArgument;
    return Fail(report.error(), usage ? kExitUsage : kExitFailed);
  }
  std::cout << report->text;
  return report->good ? kExitOk : kExitFailed;
}

int ShowSnapshot(const Options& options) {
  const auto text = SummariseBundleFile(options.file, options.json);
  if (!text) return FailBy(text.error());
  std::cout << *text;
  return kExitOk;
}

// Started by the sensor, which shows nothing of it.
int WriteSnapshot(const Options& options) {
  const auto written = RunSnapshotWriter({options.data, AgentConfig::SnapshotSpoolIn(options.data),
                                          options.file, kVersion, options.metadata});
  return written ? kExitOk : Fail(written.error(), kExitFailed);
}

CLI::App* AddSnapshotWriter(CLI::App& app, Options* options) {
  CLI::App* writer = app.add_subcommand("snapshot-writer", "Started by `run` alone");
  writer->group("");
  writer->add_option("--data", options->data, "State directory")->required();
  writer->add_option("--metadata", options->metadata, "Endpoint of the EC2 metadata service");
  writer->add_option("ID", options->file, "Of the snapshot")->required();
  return writer;
}

int SnapshotCommandLine(const CLI::App& snapshot, const Options& options) {
  if (snapshot.get_subcommands().empty()) return Snapshot(options);
  return snapshot.got_subcommand("show") ? ShowSnapshot(options) : VerifySnapshot(options);
}

void AddSnapshot(CLI::App* snapshot, Options* options) {
  snapshot->require_subcommand(0, 1);
  snapshot->add_option("--out", options->out,
                       "File or directory for the bundle; - = standard output (default: "
                       "snapshots in the state directory)");
  snapshot
      ->add_option("--tier", options->tier,
                   "Last tier: 0 processes, sockets, kernel; 1 executables, deleted files, "
                   "logs; 2 persistence, SSH")
      ->check(CLI::Range(0U, 2U))
      ->capture_default_str();
  snapshot->add_option("--case", options->case_id, "Number of the case, for the manifest");
  snapshot->add_option("--operator", options->operator_name, "Who asks, for the manifest");
  snapshot->add_flag("--json", options->json, "JSON instead of text");
  snapshot->footer(
      "Needs root; no running agent and no collector. Nothing of the host is run or changed.\n"
      "Examples:\n"
      "  sudo culprit-agent snapshot --out /mnt/usb --case 2026-17\n"
      "  ssh root@host culprit-agent snapshot --out - > host.tar.zst\n"
      "  culprit-agent snapshot verify host.tar.zst --key SHA256:...");
  CLI::App* verify = snapshot->add_subcommand(
      "verify", "Check a bundle: whole, unchanged, in order, signed by the key");
  verify->add_option("FILE", options->file, "The bundle")->required();
  verify->add_option("--key", options->key,
                     "The key that must have signed: its fingerprint (SHA256:...), or a file with "
                     "its public part");
  CLI::App* show = snapshot->add_subcommand("show", "What stands out in a bundle");
  show->add_option("FILE", options->file, "The bundle")->required();
  for (CLI::App* command : {verify, show})
    command->add_flag("--json", options->json, "JSON instead of text");
}

int LookAtHost(TriageArguments triage) {
  triage.options.version = kVersion;
  triage.options.open_source = [](const UserEventSink&) { return OpenKernel(AgentConfig{}); };
  return RunTriage(std::move(triage));
}

int CheckConfig(const Options& options) {
  auto config = Configuration(options);
  if (!config) return Fail(config.error(), kExitConfig);
  std::cout << "# The configuration in force.\n" << FormatAgentConfig(*config) << "\n";
  bool good = true;
  for (const ConfigFinding& finding : CheckAgentConfig(*config)) {
    const bool error = finding.level == ConfigFinding::Level::kError;
    good &= !error;
    std::cout << (error                                             ? "# ERROR    "
                  : finding.level == ConfigFinding::Level::kWarning ? "# warning  "
                                                                    : "# ok       ")
              << finding.what << "\n";
  }
  if (auto permitted = CheckPrivileges(); !permitted)
    std::cout << "# warning  " << permitted.error().message << "\n";
  return good ? kExitOk : kExitConfig;
}

int Enrol(const Options& options, const EnrolOptions& enrol) {
  auto config = Configuration(options);
  if (!config) return Fail(config.error(), kExitConfig);
  auto command = EnrolCommandOf(enrol);
  if (!command) return Fail(command.error(), kExitUsage);
  command->config = *config;
  command->version = kVersion;
  const auto done = RunEnrol(*command);
  if (done) {
    std::cout << *done;
    return kExitOk;
  }
  switch (done.error().code) {
    case Code::kInvalidArgument:
      return Fail(done.error(), kExitUsage);
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return Fail(done.error(), kExitNotRunning);
    default:
      return Fail(done.error(), kExitFailed);
  }
}

void AddCommon(CLI::App* command, Options* options) {
  command->add_option("--config", options->config, "Configuration file")->capture_default_str();
  command->add_option("--data", options->data,
                      "State directory, instead of state_dir of the configuration");
}

void AddReplayOptions(CLI::App* replay, Options* options) {
  replay
      ->add_option("FILE", options->file,
                   "A recording of `run --record`; pcap or pcapng, a directory of them; Zeek's "
                   "conn.log or dns.log; a VPC flow log; all but recordings also packed with gzip "
                   "or zstd; - = standard input")
      ->required();
  replay->add_option("--to", options->collector, "HOST:PORT of a collector, as --collector");
  replay->add_option("--out", options->out, "Write records as lines of JSON to this file");
  replay->add_option("--host", options->hosts,
                     "Of a capture: address or CIDR of the host to watch, may be repeated "
                     "(default: every private address)");
  replay->add_option("--process-map", options->process_map,
                     "Of a capture: file of lines ADDRESS PORT PROTOCOL PID EXE [UID], * = any");
  replay->add_option("--name", options->name,
                     "Of a capture: what the host is called at the collector (default: the file's "
                     "name)");
  replay->add_flag("--print", options->print,
                   "Write records as lines of JSON to stdout instead of a spool");
}

void AddCollector(CLI::App* command, Options* options) {
  command->add_option("--collector", options->collector, "HOST:PORT, instead of collector.address");
}

void AddLogLevel(CLI::App* command, Options* options) {
  command->add_option("--log-level", options->log_level, "trace, debug, info, warning or error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}));
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app{
      "culprit-agent: which process on this host talks to whom, as evidence for a collector",
      "culprit-agent"};
  app.require_subcommand(1);
  app.footer(kFooter);
  CLI::App* run = app.add_subcommand(
      "run", "Capture, until SIGTERM or SIGINT; SIGHUP reads configuration and certificates again");
  CLI::App* status = app.add_subcommand(
      "status", "Ask the running agent: hooks, degraded modes, spool, losses, cost");
  CLI::App* check =
      app.add_subcommand("check-config", "Show the configuration in force and check what it names");
  CLI::App* replay = app.add_subcommand(
      "replay",
      "Run the whole agent on a recording, a capture, a Zeek or VPC flow log; needs no "
      "privileges");
  CLI::App* snapshot =
      app.add_subcommand("snapshot", "Save the volatile evidence of this host in one signed file");
  AddSnapshot(snapshot, &options);
  EnrolOptions enrol_options;
  CLI::App* enrol = AddEnrol(app, &enrol_options);
  const CLI::App* writer = AddSnapshotWriter(app, &options);
  SshCheckOptions ssh;
  const CLI::App* ssh_check = AddSshCheck(app, &ssh);
  TriageArguments triage;
  const CLI::App* triage_command = AddTriage(app, &triage);
  std::string shell;
  const CLI::App* completion = AddCompletion(app, &shell);
  CLI::App* version = app.add_subcommand("version", "Show the version");
  for (CLI::App* command : {run, status, check, replay, snapshot, enrol})
    AddCommon(command, &options);
  for (CLI::App* command : {run, check, replay, enrol}) AddCollector(command, &options);
  for (CLI::App* command : {run, replay}) AddLogLevel(command, &options);
  run->add_option("--record", options.record, "Also write the events to this file, for replay");
  CLI::Option* json = status->add_flag("--json", options.json, "JSON instead of text");
  status->add_flag("--metrics", options.metrics, "Metrics in Prometheus' text format instead")
      ->excludes(json);
  AddReplayOptions(replay, &options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  for (const CLI::App* command : {run, status, check, replay, snapshot, enrol})
    options.config_given |= command->count("--config") > 0;
  if (run->parsed()) return Run(options);
  if (status->parsed()) return ShowStatus(options);
  if (check->parsed()) return CheckConfig(options);
  if (replay->parsed()) return Replay(options);
  if (enrol->parsed()) return Enrol(options, enrol_options);
  if (writer->parsed()) return WriteSnapshot(options);
  if (snapshot->parsed()) return SnapshotCommandLine(*snapshot, options);
  if (ssh_check->parsed()) return RunSshCheck(ssh, kVersion);
  if (triage_command->parsed()) return LookAtHost(std::move(triage));
  if (completion->parsed()) std::cout << CompletionScript(app, "culprit-agent", shell);
  if (version->parsed()) std::cout << "culprit-agent " << kVersion << "\n";
  return kExitOk;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  try {
    return culprit::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "culprit-agent: %s\n", error.what());
    return 1;
  }
}
