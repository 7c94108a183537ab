// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"

#include <sys/statfs.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "agent/s3/key_source.h"
#include "agent/source/mounts.h"
#include "common/credentials.h"
#include "common/file.h"
#include "common/number.h"
#include "common/toml_reader.h"
#include "common/units.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kTiB = 1ULL << 40;

void ReadSinkKeys(TomlReader& toml, SinkOptions& sink) {
  toml.String("sink.bucket", sink.bucket);
  toml.String("sink.region", sink.region);
  toml.String("sink.prefix", sink.prefix);
  toml.String("sink.endpoint", sink.endpoint);
  toml.Path("sink.ca", sink.ca);
  toml.Path("sink.credentials", sink.credentials);
  toml.Choice("sink.lock", sink.lock, {"governance", "compliance", "bucket"});
  toml.Uint32("sink.retention_days", sink.retention_days, 1, 36'500);
  toml.Duration("sink.interval", sink.interval, seconds(1), minutes(60));
  toml.Bytes("sink.object_bytes", sink.object_bytes, 64ULL << 10, 16 * kMiB);
}

Result<AgentConfig> Read(TomlReader toml) {
  AgentConfig config;
  toml.Path("state_dir", config.state_dir);
  toml.Choice("log_level", config.log_level, {"trace", "debug", "info", "warning", "error"});
  toml.Duration("heartbeat", config.heartbeat, milliseconds(100), minutes(1));
  toml.Duration("canary", config.canary, milliseconds(0), minutes(60));
  toml.String("collector.address", config.collector.address);
  toml.String("collector.server_name", config.collector.server_name);
  toml.String("collector.enrol_address", config.collector.enrol_address);
  toml.Path("collector.ca", config.collector.ca);
  toml.Path("collector.certificate", config.collector.certificate);
  toml.Path("collector.key", config.collector.key);
  ReadSinkKeys(toml, config.sink);
  toml.Path("sender.program", config.sender.program);
  toml.String("sender.user", config.sender.user);
  toml.Duration("sender.drain", config.sender.drain, milliseconds(0), minutes(10));
  toml.Choice("identity.source", config.identity.source, {"auto", "imds", "machine"});
  toml.String("identity.endpoint", config.identity.endpoint);
  toml.Bytes("spool.max_bytes", config.spool.max_bytes, kMiB, kTiB);
  toml.Bytes("spool.segment_bytes", config.spool.segment_bytes, 64ULL << 10, 1ULL << 30);
  toml.Path("kernel.cgroup_path", config.kernel.cgroup_path);
  toml.Path("kernel.btf_path", config.kernel.btf_path);
  toml.Strings("kernel.disabled_hooks", config.kernel.disabled_hooks);
  toml.Bool("kernel.measure_cost", config.kernel.measure_cost);
  toml.Bool("hash.enabled", config.hash.enabled);
  toml.Bytes("hash.max_file_bytes", config.hash.max_file_bytes, 1, kTiB);
  toml.Bytes("hash.bytes_per_second", config.hash.bytes_per_second, kMiB, kTiB);
  toml.Bool("ssh.enabled", config.posture.enabled);
  toml.Bool("packets.enabled", config.packets.enabled);
  toml.Uint32("packets.segments", config.packets.segments, 4, 65'536);
  toml.Bytes("packets.segment_bytes", config.packets.segment_bytes, kMiB, 1ULL << 30);
  toml.Strings("packets.interfaces", config.packets.interfaces);
  toml.Bool("packets.loopback", config.packets.loopback);
  toml.Bytes("packets.first_bytes", config.packets.first_bytes, 0, 1ULL << 30);
  toml.Bytes("packets.buffer_bytes", config.packets.buffer_bytes, kMiB, 32 * kMiB);
  toml.Bool("packets.names", config.packets.names);
  toml.Path("packets.parser", config.packets.parser);
  toml.Bool("snapshot.enabled", config.snapshot.enabled);
  toml.Bytes("snapshot.max_bytes", config.snapshot.max_bytes, 16 * kMiB, kTiB);
  toml.Bytes("snapshot.bytes_per_second", config.snapshot.bytes_per_second, 0, kTiB);
  toml.Duration("snapshot.notices", config.snapshot.notices, milliseconds(0), minutes(60));
  toml.Bool("snapshot.on_shutdown", config.snapshot.on_shutdown);
  toml.Bool("snapshot.on_stop", config.snapshot.on_stop);
  toml.Duration("snapshot.checkpoint", config.snapshot.checkpoint, milliseconds(0), minutes(60));
  toml.Bytes("snapshot.checkpoint_bytes", config.snapshot.checkpoint_bytes, 256ULL << 10,
             256 * kMiB);
  toml.Bool("logins.enabled", config.logins.enabled);
  toml.Bool("logins.journal", config.logins.journal);
  toml.Path("logins.journal_directory", config.logins.journal_directory);
  toml.Strings("logins.files", config.logins.files);
  toml.Strings("logins.sshd_files", config.logins.sshd_files);
  toml.Path("metrics.textfile", config.metrics.textfile);
  toml.Uint32("limits.max_flows", config.limits.max_flows, 64, 4'000'000);
  toml.Uint32("limits.max_processes", config.limits.max_processes, 64, 4'000'000);
  toml.Bytes("limits.max_recording_bytes", config.limits.max_recording_bytes, kMiB, kTiB);
  TRY_VOID(toml.Finish());
  return config;
}

// 0 = none.
std::uint32_t PortOf(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return 0;
  return AsNumber<std::uint16_t>(std::string_view(address).substr(colon + 1)).value_or(0);
}

Status CheckAddress(const std::string& key, const std::string& address) {
  if (PortOf(address) != 0) return Ok();
  return InvalidArgument("collector." + key +
                         ": expected \"host:port\" or \"[v6]:port\", found \"" + address + "\"");
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

std::string Listed(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + Quoted(text);
  return out;
}

std::string Millis(milliseconds span) { return Quoted(std::to_string(span.count()) + "ms"); }

using Level = ConfigFinding::Level;

void CheckSender(const AgentConfig& config, std::vector<ConfigFinding>* out) {
  const std::string program = config.SenderProgram();
  if (access(program.c_str(), X_OK) == 0) {
    out->push_back({Level::kOk, "sender " + program});
  } else {
    out->push_back({Level::kError, ErrnoError("sender.program " + program).message});
  }
}

void CheckSink(const AgentConfig& config, std::vector<ConfigFinding>* out) {
  const SinkOptions& sink = config.sink;
  out->push_back({Level::kOk, "sink " + SinkName(sink) + " in " + sink.region});
  if (sink.credentials.empty()) {
    out->push_back({Level::kOk, "sink.credentials is not set: the role of this instance signs"});
  } else if (const auto keys = ReadKeyFile(sink.credentials); keys) {
    out->push_back({Level::kOk, "keys in " + sink.credentials});
  } else {
    out->push_back({Level::kError, keys.error().message});
  }
  if (!sink.ca.empty()) {
    if (const auto ca = ReadPemFile(sink.ca); !ca)
      out->push_back({Level::kError, "sink.ca: " + ca.error().message});
  }
  if (sink.lock == "bucket") {
    out->push_back({Level::kWarning,
                    "sink.lock is \"bucket\": without Object Lock by default there, whoever may "
                    "delete objects can delete evidence"});
  }
  CheckSender(config, out);
}

void CheckCollector(const AgentConfig& config, std::vector<ConfigFinding>* out) {
  if (config.sink.enabled()) return CheckSink(config, out);
  if (config.collector.address.empty()) {
    out->push_back(
        {Level::kWarning,
         "neither collector.address nor sink.bucket is set: evidence stays in the spool"});
    return;
  }
  out->push_back({Level::kOk, "collector " + config.collector.address});
  if (access(config.collector.certificate.c_str(), F_OK) != 0 &&
      access(config.collector.key.c_str(), F_OK) == 0) {
    out->push_back({Level::kWarning,
                    "this host has not enrolled yet: run `culprit-agent enrol`; "
                    "evidence stays in the spool until then"});
    return;
  }
  const auto credentials = CheckCredentials(
      CredentialPaths{config.collector.ca, config.collector.certificate, config.collector.key},
      ReadWallClock());
  if (credentials) {
    out->push_back({Level::kOk, "certificate of " + credentials->certificate.common_name +
                                    ", valid until " +
                                    FormatUtc(credentials->certificate.not_after)});
  } else {
    out->push_back({Level::kError, credentials.error().message});
  }
  CheckSender(config, out);
}

void CheckSpool(const AgentConfig& config, std::vector<ConfigFinding>* out) {
  const std::string directory = config.SpoolDirectory();
  if (auto made = MakeDirectories(directory, 0700); !made) {
    out->push_back({Level::kError, made.error().message});
    return;
  }
  if (access(directory.c_str(), W_OK | X_OK) != 0) {
    out->push_back(
        {Level::kError, ErrnoError("spool directory " + directory + " is not writable").message});
    return;
  }
  const auto free = FreeDiskBytes(directory);
  if (!free) {
    out->push_back({Level::kError, free.error().message});
  } else if (*free < config.spool.max_bytes) {
    out->push_back({Level::kWarning,
                    "spool.max_bytes is " + FormatByteSize(config.spool.max_bytes) + ", but only " +
                        FormatByteSize(*free) + " are free on the disk of " + directory});
  } else {
    out->push_back({Level::kOk, "spool " + directory + ", " + FormatByteSize(*free) + " free"});
  }
}

void CheckKernel(const AgentConfig& config, std::vector<ConfigFinding>* out) {
  constexpr long kCgroup2Magic = 0x63677270;
  std::string cgroup = config.kernel.cgroup_path;
  if (cgroup.empty()) {
    const auto text = ReadWholeFile("/proc/self/mountinfo", 4 * kMiB);
    if (text) {
      for (const Mount& mount : ParseMountinfo(*text)) {
        if (mount.fs_type == "cgroup2") cgroup = mount.mount_point;
      }
    }
  }
  struct statfs fs {};
  if (cgroup.empty()) {
    out->push_back(
        {Level::kError,
         "no cgroup2 mount: mount one (mount -t cgroup2 none /sys/fs/cgroup/unified) or set "
         "kernel.cgroup_path"});
  } else if (statfs(cgroup.c_str(), &fs) != 0) {
    out->push_back({Level::kError, ErrnoError("kernel.cgroup_path " + cgroup).message});
  } else if (static_cast<long>(fs.f_type) != kCgroup2Magic) {
    out->push_back({Level::kError, "kernel.cgroup_path " + cgroup + " is not a cgroup2 mount"});
  } else {
    out->push_back({Level::kOk, "cgroup2 at " + cgroup});
  }
  if (access(config.kernel.btf_path.c_str(), R_OK) == 0) {
    out->push_back({Level::kOk, "kernel type information at " + config.kernel.btf_path});
  } else {
    out->push_back({Level::kError, ErrnoError("kernel.btf_path " + config.kernel.btf_path).message +
                                       " (needs a kernel with CONFIG_DEBUG_INFO_BTF)"});
  }
}

}  // namespace

namespace {

std::string BesideThisProgram(const char* name) {
  const std::string self = AgentConfig::ThisProgram();
  return self.substr(0, self.rfind('/') + 1) + name;
}

}  // namespace

std::string AgentConfig::ThisProgram() { return ReadLink("/proc/self/exe").value_or(""); }

std::string AgentConfig::SenderProgram() const {
  return sender.program.empty() ? BesideThisProgram("culprit-agent-sender") : sender.program;
}

Result<std::string> AgentConfig::EnrolAddress() const {
  if (!collector.enrol_address.empty()) return collector.enrol_address;
  const std::uint32_t port = PortOf(collector.address);
  if (port == 0) {
    return InvalidArgument("where is the collector? --collector HOST:PORT, or collector.address");
  }
  return collector.address.substr(0, collector.address.rfind(':') + 1) + std::to_string(port + 1);
}

std::string AgentConfig::ParserProgram() const {
  return packets.parser.empty() ? BesideThisProgram("culprit-agent-parser") : packets.parser;
}

Result<AgentConfig> ParseAgentConfig(std::string_view text, const std::string& name) {
  TRY(TomlReader toml, TomlReader::Parse(text, name));
  return Read(std::move(toml));
}

Result<AgentConfig> LoadAgentConfig(const std::string& path, bool required) {
  auto toml = TomlReader::Load(path);
  if (!toml) {
    if (toml.error().code == Code::kNotFound && !required) return AgentConfig{};
    return std::move(toml).error();
  }
  return Read(std::move(*toml));
}

Status ValidateAgentConfig(const AgentConfig& config) {
  if (!config.collector.address.empty())
    TRY_VOID(CheckAddress("address", config.collector.address));
  if (!config.collector.enrol_address.empty())
    TRY_VOID(CheckAddress("enrol_address", config.collector.enrol_address));
  TRY_VOID(ValidateSink(config.sink));
  if (config.sink.enabled() && !config.collector.address.empty()) {
    return InvalidArgument(
        "sink.bucket and collector.address are both set: evidence goes to one of the two");
  }
  if (!config.identity.endpoint.starts_with("http://")) {
    return InvalidArgument("identity.endpoint: expected \"http://host[:port]\", found \"" +
                           config.identity.endpoint + "\"");
  }
  for (const auto* files : {&config.logins.files, &config.logins.sshd_files}) {
    for (const std::string& path : *files) {
      if (path.starts_with('/')) continue;
      return InvalidArgument("logins: expected a whole path, found \"" + path + "\"");
    }
  }
  if (config.canary.count() != 0 && config.canary < seconds(1))
    return InvalidArgument("canary: expected at least 1s, or 0s for none");
  if (config.snapshot.bytes_per_second != 0 && config.snapshot.bytes_per_second < (64ULL << 10)) {
    return InvalidArgument(
        "snapshot.bytes_per_second: expected at least 64 KiB, or 0 for no bound");
  }
  if (config.snapshot.notices.count() != 0 && config.snapshot.notices < milliseconds(100))
    return InvalidArgument("snapshot.notices: expected at least \"100ms\", or 0 for none");
  if (config.snapshot.checkpoint.count() != 0 && config.snapshot.checkpoint < seconds(1))
    return InvalidArgument("snapshot.checkpoint: expected at least \"1s\", or 0 for none");
  if (config.spool.segment_bytes * 4 > config.spool.max_bytes) {
    return InvalidArgument(
        "spool.segment_bytes: expected at most a quarter of spool.max_bytes, so that the cap can "
        "drop whole segments");
  }
  return Ok();
}

std::string FormatAgentConfig(const AgentConfig& config) {
  const auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
  const auto& [collector, sink, sender, identity, packets] =
      std::tie(config.collector, config.sink, config.sender, config.identity, config.packets);
  return "state_dir = " + Quoted(config.state_dir) + "\nlog_level = " + Quoted(config.log_level) +
         "\nheartbeat = " + Millis(config.heartbeat) + "\ncanary = " + Millis(config.canary) +
         "\n\n[collector]\naddress = " + Quoted(collector.address) +
         "\nserver_name = " + Quoted(collector.server_name) +
         "\nenrol_address = " + Quoted(collector.enrol_address) + "\nca = " + Quoted(collector.ca) +
         "\ncertificate = " + Quoted(collector.certificate) + "\nkey = " + Quoted(collector.key) +
         "\n\n[sink]\nbucket = " + Quoted(sink.bucket) + "\nregion = " + Quoted(sink.region) +
         "\nprefix = " + Quoted(sink.prefix) + "\nendpoint = " + Quoted(sink.endpoint) +
         "\nca = " + Quoted(sink.ca) + "\ncredentials = " + Quoted(sink.credentials) +
         "\nlock = " + Quoted(sink.lock) +
         "\nretention_days = " + std::to_string(sink.retention_days) +
         "\ninterval = " + Millis(sink.interval) +
         "\nobject_bytes = " + std::to_string(sink.object_bytes) +
         "\n\n[sender]\nprogram = " + Quoted(config.SenderProgram()) +
         "\nuser = " + Quoted(sender.user) + "\ndrain = " + Millis(sender.drain) +
         "\n\n[identity]\nsource = " + Quoted(identity.source) +
         "\nendpoint = " + Quoted(identity.endpoint) +
         "\n\n[spool]\nmax_bytes = " + std::to_string(config.spool.max_bytes) +
         "\nsegment_bytes = " + std::to_string(config.spool.segment_bytes) +
         "\n\n[kernel]\ncgroup_path = " + Quoted(config.kernel.cgroup_path) +
         "\nbtf_path = " + Quoted(config.kernel.btf_path) + "\ndisabled_hooks = [" +
         Listed(config.kernel.disabled_hooks) +
         "]\nmeasure_cost = " + flag(config.kernel.measure_cost) +
         "\n\n[hash]\nenabled = " + flag(config.hash.enabled) +
         "\nmax_file_bytes = " + std::to_string(config.hash.max_file_bytes) +
         "\nbytes_per_second = " + std::to_string(config.hash.bytes_per_second) +
         "\n\n[ssh]\nenabled = " + flag(config.posture.enabled) +
         "\n\n[packets]\nenabled = " + flag(packets.enabled) +
         "\nsegments = " + std::to_string(packets.segments) +
         "\nsegment_bytes = " + std::to_string(packets.segment_bytes) + "\ninterfaces = [" +
         Listed(packets.interfaces) + "]\nloopback = " + flag(packets.loopback) +
         "\nfirst_bytes = " + std::to_string(packets.first_bytes) +
         "\nbuffer_bytes = " + std::to_string(packets.buffer_bytes) +
         "\nnames = " + flag(packets.names) + "\nparser = " + Quoted(config.ParserProgram()) +
         "\n\n[snapshot]\nenabled = " + flag(config.snapshot.enabled) +
         "\nmax_bytes = " + std::to_string(config.snapshot.max_bytes) +
         "\nbytes_per_second = " + std::to_string(config.snapshot.bytes_per_second) +
         "\nnotices = " + Millis(config.snapshot.notices) +
         "\non_shutdown = " + flag(config.snapshot.on_shutdown) +
         "\non_stop = " + flag(config.snapshot.on_stop) +
         "\ncheckpoint = " + Millis(config.snapshot.checkpoint) +
         "\ncheckpoint_bytes = " + std::to_string(config.snapshot.checkpoint_bytes) +
         "\n\n[logins]\nenabled = " + flag(config.logins.enabled) +
         "\njournal = " + flag(config.logins.journal) +
         "\njournal_directory = " + Quoted(config.logins.journal_directory) + "\nfiles = [" +
         Listed(config.logins.files) + "]\nsshd_files = [" + Listed(config.logins.sshd_files) +
         "]\n\n[metrics]\ntextfile = " + Quoted(config.metrics.textfile) +
         "\n\n[limits]\nmax_flows = " + std::to_string(config.limits.max_flows) +
         "\nmax_processes = " + std::to_string(config.limits.max_processes) +
         "\nmax_recording_bytes = " + std::to_string(config.limits.max_recording_bytes) + "\n";
}

std::vector<ConfigFinding> CheckAgentConfig(const AgentConfig& config) {
  std::vector<ConfigFinding> out;
  if (auto valid = ValidateAgentConfig(config); !valid)
    out.push_back({Level::kError, valid.error().message});
  CheckCollector(config, &out);
  CheckSpool(config, &out);
  CheckKernel(config, &out);
  return out;
}

}  // namespace culprit
