// SPDX-License-Identifier: Apache-2.0
// `culprit import`: evidence that was not captured by an agent goes the way of evidence, through
// `culprit-agent replay`.
#include <spawn.h>
#include <spdlog/fmt/fmt.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "collector/cli/commands/commands.h"
#include "common/text.h"
#include "common/vpc_flow_log.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Sends a VPC flow log (versions 2 to 8), Zeek's conn.log or dns.log, or a capture (pcap, "
    "pcapng) to the collector as the\n"
    "evidence of a host of its own, so that flows, costs and findings show it; plain, gzip or "
    "zstd. There are no processes in\n"
    "it, and a flow log knows nothing of names. Runs `culprit-agent replay` with an agent's "
    "configuration that has credentials of\n"
    "its own (`culprit-collector issue agent import`): with a running agent's it would take that "
    "one's place. Needs no privileges.\n"
    "Exit codes: those of `culprit-agent replay`.\n"
    "\n"
    "Examples:\n"
    "  culprit import vpcflow flow.log.gz --watch 10.0.0.0/16 --name vpc-0abc\n"
    "  culprit import zeek conn.log --agent-config import.toml\n"
    "  culprit import pcap capture.pcapng --watch 192.0.2.7\n"
    "Next: `culprit flows --host NAME`, `culprit findings --host NAME`.\n";

struct Args {
  std::string kind, file, name, config = "/etc/culprit/import.toml";
  std::vector<std::string> watch;
};

// Beside this program, else on the PATH.
std::string AgentProgram() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto beside = self.parent_path() / "culprit-agent";
  return !error && std::filesystem::exists(beside, error) ? beside.string() : "culprit-agent";
}

std::vector<std::string> CommandOf(const Args& args, const std::string& data) {
  std::vector<std::string> command = {AgentProgram(), "replay", args.file, "--config",
                                      args.config,    "--data", data};
  for (const std::string& watch : args.watch) command.insert(command.end(), {"--host", watch});
  if (!args.name.empty()) command.insert(command.end(), {"--name", args.name});
  return command;
}

// The exit code.
Result<int> RunProgram(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ);
  if (error != 0) {
    return NotFound(fmt::format("run {}: {}: is the agent's package installed?", command[0],
                                std::generic_category().message(error)));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoError("wait for " + command[0]);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Status CheckFlowLog(const std::string& file) {
  TRY(const auto reader, VpcFlowReader::Open(file));
  VpcFlowRow row;
  if (reader->Next(&row)) return Ok();
  return InvalidArgument(
      fmt::format("{}: no row of a flow log in it{}", EscapeText(file),
                  reader->stats().bad.empty() ? "" : "; line " + reader->stats().bad[0]));
}

int RunImport(Session& session, const Args& args) {
  if (args.kind == "vpcflow") {
    if (const auto checked = CheckFlowLog(args.file); !checked) {
      session.Fail(checked.error());
      return kExitUsage;
    }
  }
  // The running agent has its own.
  std::string data = std::filesystem::temp_directory_path() / "culprit-import-XXXXXX";
  if (mkdtemp(data.data()) == nullptr) return session.Fail(ErrnoError("make " + data));
  const auto code = RunProgram(CommandOf(args, data));
  std::error_code ignored;
  std::filesystem::remove_all(data, ignored);
  return code ? *code : session.Fail(code.error());
}

}  // namespace

Command AddImport(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("import", "Flow logs, Zeek logs and captures as evidence without agent");
  const auto args = std::make_shared<Args>();
  command->add_option("kind", args->kind, "vpcflow, zeek or pcap")
      ->required()
      ->type_name("")
      ->check(CLI::IsMember({"vpcflow", "zeek", "pcap"}));
  command->add_option("file", args->file, "The log or the capture")->required()->type_name("FILE");
  command
      ->add_option("--watch", args->watch,
                   "Address or CIDR of the hosts it is about (default: private addresses)")
      ->type_name("CIDR");
  command->add_option("--name", args->name, "What the host is called (default: the file's name)")
      ->type_name("NAME");
  command->add_option("--agent-config", args->config, "Whose credentials and collector are used")
      ->type_name("FILE")
      ->capture_default_str();
  command->footer(kFooter);
  return {command, [args](Session& session) { return RunImport(session, *args); }};
}

}  // namespace culprit::cli
