// SPDX-License-Identifier: Apache-2.0
// The agent's configuration: /etc/culprit/agent.toml -> a plain struct, checked.
// Stage: wiring. Thread: values. deploy/agent.toml is the reference: every key, its default and its
// meaning.
#ifndef CULPRIT_AGENT_CONFIG_H_
#define CULPRIT_AGENT_CONFIG_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/s3/sink_options.h"
#include "common/result.h"

namespace culprit {

struct AgentConfig {
  std::string state_dir = "/var/lib/culprit/agent";  // empty: nothing is kept (no key says so)
  std::string log_level = "info";

  struct Collector {
    std::string address;  // "host:port"; empty: evidence stays in the spool
    std::string server_name;
    std::string enrol_address;  // "host:port"; empty: the port above that of `address`
    std::string ca = "/etc/culprit/agent/ca.pem";
    std::string certificate = "/etc/culprit/agent/agent.pem";
    std::string key = "/etc/culprit/agent/agent.key";
  } collector;

  SinkOptions sink;  // instead of a collector; its last two members are not of the file

  struct Sender {
    std::string program;  // empty: culprit-agent-sender beside this program
    std::string user = "nobody";
    std::chrono::milliseconds drain = std::chrono::seconds(5);
  } sender;

  struct Identity {
    std::string source = "auto";  // auto | imds | machine
    std::string endpoint = "http://169.254.169.254";
  } identity;

  struct SpoolSettings {
    std::uint64_t max_bytes = 256ULL << 20;
    std::uint64_t segment_bytes = 8ULL << 20;
  } spool;

  struct Kernel {
    std::string cgroup_path;  // empty: found in the mount table
    std::string btf_path = "/sys/kernel/btf/vmlinux";
    std::vector<std::string> disabled_hooks;
    bool measure_cost = false;
  } kernel;

  struct Hash {
    bool enabled = true;
    std::uint64_t max_file_bytes = 512ULL << 20;
    std::uint64_t bytes_per_second = 64ULL << 20;
  } hash;

  struct Posture {
    bool enabled = true;
  } posture;

  struct Packets {
    bool enabled = false;
    std::uint32_t segments = 16;
    std::uint64_t segment_bytes = 16ULL << 20;
    std::vector<std::string> interfaces;  // empty: all
    bool loopback = false;
    std::uint64_t first_bytes = 64ULL << 10;  // of each connection whole
    std::uint64_t buffer_bytes = 8ULL << 20;  // of the kernel, for all interfaces
    bool names = true;                        // read names out of payload, in a process for that
    std::string parser;                       // empty: culprit-agent-parser beside this program
  } packets;

  struct Snapshot {
    bool enabled = true;                   // when the collector asks
    std::uint64_t max_bytes = 1ULL << 30;  // of bundles that wait for it
    std::uint64_t bytes_per_second = 0;    // on their way; 0 = no bound
    // What begins one without the collector:
    std::chrono::milliseconds notices = std::chrono::seconds(5);  // asked for on EC2; 0 = not
    bool on_shutdown = true;
    bool on_stop = false;  // of the agent alone
    // What is kept of the time before:
    std::chrono::milliseconds checkpoint = std::chrono::minutes(1);  // 0 = nothing
    std::uint64_t checkpoint_bytes = 4ULL << 20;
  } snapshot;

  struct Logins {
    bool enabled = true;
    bool journal = true;            // where there is one, instead of `files`
    std::string journal_directory;  // empty: this machine's
    std::vector<std::string> files = {"/var/log/auth.log", "/var/log/secure"};
    std::vector<std::string> sshd_files;  // as `sshd -E` writes them: messages alone
    // What each log had before the start is read too, at most so much of it: no key of the file.
    std::uint64_t history_bytes = 0;
  } logins;

  struct Metrics {
    std::string textfile;  // empty: none
  } metrics;

  struct Limits {
    std::uint32_t max_flows = 65'536;
    std::uint32_t max_processes = 32'768;
    std::uint64_t max_recording_bytes = 1ULL << 30;
  } limits;

  std::chrono::milliseconds heartbeat = std::chrono::seconds(10);
  std::chrono::milliseconds canary = std::chrono::seconds(60);  // 0 = off

  std::string PacketDirectory() const { return state_dir + "/packets"; }
  std::string SpoolDirectory() const { return state_dir + "/spool"; }
  std::string SnapshotSpoolDirectory() const { return SnapshotSpoolIn(state_dir); }
  static std::string SnapshotSpoolIn(const std::string& state_dir) {
    return state_dir + "/snapshot-spool";
  }
  // Somewhere to send evidence to.
  bool Sends() const { return !collector.address.empty() || sink.enabled(); }
  std::string SenderProgram() const;  // resolved
  // Where hosts enrol. Errors: no address to begin with.
  Result<std::string> EnrolAddress() const;
  std::string ParserProgram() const;
  static std::string ThisProgram();
};

// Errors: one line for each wrong or unknown key, with file, line and what was expected.
Result<AgentConfig> ParseAgentConfig(std::string_view text, const std::string& name);
// A missing file is an error only if `required`.
Result<AgentConfig> LoadAgentConfig(const std::string& path, bool required);
// What no single key shows: formats and combinations. Also after options of the command line.
Status ValidateAgentConfig(const AgentConfig& config);
// The configuration in force, as TOML that reads back to the same.
std::string FormatAgentConfig(const AgentConfig& config);

// One line of `check-config`.
struct ConfigFinding {
  enum class Level { kOk, kWarning, kError } level = Level::kOk;
  std::string what;
};
// Looks at the machine: certificates, collector's address, spool directory and disk, cgroup mount,
// kernel's BTF. Changes nothing but creates the state directory if it is missing.
std::vector<ConfigFinding> CheckAgentConfig(const AgentConfig& config);

}  // namespace culprit

#endif  // CULPRIT_AGENT_CONFIG_H_
