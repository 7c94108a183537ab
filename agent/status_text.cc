// SPDX-License-Identifier: Apache-2.0
// The two forms of AgentStatus: a page for a person and JSON for programs.
#include <fmt/format.h>

#include "agent/json_writer.h"
#include "agent/status.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::string_view kLaneNames[kLaneCount] = {"evidence", "bulk"};

std::string Span(std::uint64_t ms) { return FormatDuration(std::chrono::milliseconds(ms)); }

void FidelityPage(const FidelityFacts& fidelity, std::string* out) {
  *out += fmt::format(
      "Capture    source {}, owner of a flow: {}, executable hashes: {}\n", fidelity.source,
      fidelity.owner_mode.empty() ? "unknown" : fidelity.owner_mode, fidelity.exe_hash_mode);
  for (const HookFacts& hook : fidelity.hooks) {
    *out += fmt::format("  {:<8} {:<24} {}{}\n", hook.active ? "active" : "missing", hook.name,
                        hook.required && !hook.active ? "(required) " : "", EscapeText(hook.note));
  }
}

void SpoolPage(const AgentStatus& status, std::string* out) {
  *out += fmt::format("Spool      {} of {}, stream {} ({})\n", FormatByteSize(status.spool_bytes),
                      FormatByteSize(status.spool_cap_bytes), status.stream_id.ToString(),
                      status.stream_reason);
  for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
    const LaneState& state = status.lanes[lane];
    *out +=
        fmt::format("  {:<9} oldest {} newest {} acknowledged {} ({} waiting)\n", kLaneNames[lane],
                    state.oldest_seq, state.newest_seq, state.acked_seq,
                    state.newest_seq > state.acked_seq ? state.newest_seq - state.acked_seq : 0);
  }
}

void SinkPage(const AgentStatus& status, std::string* out) {
  const SenderStatus& sender = status.sender;
  *out += fmt::format("Sink       {} {}", status.collector,
                      sender.connected ? "stored" : "NOTHING STORED");
  if (!sender.connected && !sender.last_error.empty()) *out += ": " + EscapeText(sender.last_error);
  *out += fmt::format("\n  sender pid {}, {} frames and {} stored, {} failures, {} restarts\n",
                      sender.pid, sender.frames_sent, FormatByteSize(sender.bytes_sent),
                      sender.reconnects, sender.restarts);
}

void CollectorPage(const AgentStatus& status, std::string* out) {
  if (status.collector.empty()) {
    *out += "Collector  none configured: evidence stays in the spool\n";
    return;
  }
  if (status.sink) return SinkPage(status, out);
  const SenderStatus& sender = status.sender;
  *out += fmt::format("Collector  {} {}", status.collector,
                      sender.connected ? "connected" : "NOT CONNECTED");
  if (!sender.connected && !sender.last_error.empty()) *out += ": " + EscapeText(sender.last_error);
  *out += fmt::format(
      "\n  sender pid {}, {} frames and {} sent, {} reconnects, {} restarts, {} records rejected, "
      "clock {:+.3f} s from the collector's\n",
      sender.pid, sender.frames_sent, FormatByteSize(sender.bytes_sent), sender.reconnects,
      sender.restarts, sender.rejected_records,
      static_cast<double>(sender.collector_skew_ns) / 1e9);
}

void CountPage(std::string_view title,
               const std::vector<std::pair<std::string, std::uint64_t>>& counts, bool only_set,
               std::string* out) {
  std::string lines;
  for (const auto& [name, count] : counts) {
    if (count != 0 || !only_set) lines += fmt::format("  {:<32} {}\n", name, count);
  }
  *out += fmt::format("{}{}\n{}", title, lines.empty() ? "  none" : "", lines);
}

std::string SignedBytes(std::int64_t bytes) {
  const auto size = static_cast<std::uint64_t>(bytes < 0 ? -bytes : bytes);
  return (bytes < 0 ? "-" : "") + FormatByteSize(size);
}

void CoveragePage(const AgentStatus& status, std::string* out) {
  if (!status.coverage) {
    *out += "Coverage   no reading yet\n";
    return;
  }
  const CoverageFacts& coverage = *status.coverage;
  *out += fmt::format("Coverage   L3 bytes of {}; residual = interface less what is known\n",
                      FormatDuration(coverage.at - coverage.since));
  if (coverage.interfaces.empty()) *out += "  nothing passed\n";
  if (coverage.interfaces.empty()) return;
  constexpr std::string_view kRow =
      "  {:<16} {:<10} {:<3} {:>10} {:>10} {:>10} {:>10} {:>10}  {}\n";
  *out += fmt::format(kRow, "interface", "netns", "", "process", "kernel", "forwarded", "unknown",
                      "interface", "residual");
  for (const InterfaceFacts& interface : coverage.interfaces) {
    const std::string name = interface.ifindex == 0 ? "(others)" : EscapeText(interface.name);
    for (const bool tx : {true, false}) {
      const TrafficFacts& traffic = tx ? interface.tx : interface.rx;
      const Residual residual = ResidualOf(traffic);
      const std::string rest =
          interface.readable
              ? fmt::format("{} ({:.2f} %)", SignedBytes(residual.bytes), residual.percent)
              : "the interface cannot be read: no process in its namespace";
      *out += fmt::format(kRow, name, interface.netns, tx ? "tx" : "rx",
                          FormatByteSize(traffic.bytes[CULPRIT_CLASS_PROCESS]),
                          FormatByteSize(traffic.bytes[CULPRIT_CLASS_KERNEL]),
                          FormatByteSize(traffic.bytes[CULPRIT_CLASS_FORWARDED]),
                          FormatByteSize(traffic.bytes[CULPRIT_CLASS_UNKNOWN]),
                          interface.readable ? FormatByteSize(traffic.interface_bytes) : "?", rest);
    }
  }
}

void CostPage(const AgentStatus& status, std::string* out) {
  const auto of_a_core = [&](double us) {
    return status.uptime_ms == 0 ? 0.0 : us / 10.0 / static_cast<double>(status.uptime_ms);
  };
  *out += "Cost       in per cent of one core since the start\n";
  for (const AgentStatus::Process& process : status.processes) {
    const auto cpu_us = static_cast<double>(process.usage.cpu_us);
    *out += fmt::format("  {:<8} pid {:<8} CPU {:.2f} s ({:.3f} %)  RSS {}  PSS {}\n", process.name,
                        process.pid, cpu_us / 1e6, of_a_core(cpu_us),
                        FormatByteSize(process.usage.rss_bytes),
                        FormatByteSize(process.usage.pss_bytes));
  }
  if (!status.costs_measured) {
    *out += "  kernel programs: not measured (kernel.measure_cost = true has the kernel do it)\n";
    return;
  }
  double sum_us = 0;
  for (const ProgramCostFacts& program : status.program_costs) {
    if (program.run_count == 0) continue;
    const double us = static_cast<double>(program.run_time_ns) / 1e3;
    sum_us += us;
    *out += fmt::format("  {:<24} {:>12} runs, {:>7} ns each, {:.3f} %\n", program.name,
                        program.run_count, program.run_time_ns / program.run_count, of_a_core(us));
  }
  *out += fmt::format("  {:<24} {:.3f} %, in the context of whoever causes it\n", "kernel programs",
                      of_a_core(sum_us));
}

void WriteTraffic(std::string_view way, const TrafficFacts& traffic, JsonWriter* json) {
  constexpr std::string_view kClasses[] = {"process", "kernel", "forwarded", "unknown"};
  static_assert(std::size(kClasses) == CULPRIT_CLASS_COUNT);
  json->Key(way).Open('{');
  for (std::size_t c = 0; c < CULPRIT_CLASS_COUNT; ++c) {
    json->Field(std::string(kClasses[c]) + "_bytes", traffic.bytes[c]);
    json->Field(std::string(kClasses[c]) + "_packets", traffic.packets[c]);
  }
  json->Field("interface_bytes", traffic.interface_bytes);
  json->Field("interface_packets", traffic.interface_packets);
  json->Key("residual_bytes").Signed(ResidualOf(traffic).bytes);
  json->Close('}');
}

void WriteCoverage(const AgentStatus& status, JsonWriter* json) {
  json->Key("coverage").Open('[');
  for (const InterfaceFacts& interface :
       status.coverage ? status.coverage->interfaces : std::vector<InterfaceFacts>{}) {
    json->Open('{');
    json->Field("netns", std::uint64_t{interface.netns});
    json->Field("ifindex", std::uint64_t{interface.ifindex});
    json->Field("name", interface.name);
    json->FlagField("hardware", interface.hardware);
    json->FlagField("readable", interface.readable);
    WriteTraffic("tx", interface.tx, json);
    WriteTraffic("rx", interface.rx, json);
    json->Close('}');
  }
  json->Close(']');
}

void WriteSender(const SenderStatus& sender, JsonWriter* json) {
  json->FlagField("connected", sender.connected);
  json->Field("last_error", sender.last_error);
  json->Key("pid").Signed(sender.pid);
  json->Field("restarts", sender.restarts);
  json->Field("reconnects", sender.reconnects);
  json->Field("frames_sent", sender.frames_sent);
  json->Field("bytes_sent", sender.bytes_sent);
  json->Field("rejected_records", sender.rejected_records);
  json->Key("skew_ns").Signed(sender.collector_skew_ns);
}

void WriteFidelity(const FidelityFacts& fidelity, JsonWriter* json) {
  json->Key("fidelity").Open('{');
  json->Field("source", fidelity.source);
  json->Field("owner_mode", fidelity.owner_mode);
  json->Field("exe_hash_mode", fidelity.exe_hash_mode);
  json->Key("hooks").Open('[');
  for (const HookFacts& hook : fidelity.hooks) {
    json->Open('{');
    json->Field("name", hook.name);
    json->FlagField("active", hook.active);
    json->FlagField("required", hook.required);
    json->Field("note", hook.note);
    json->Close('}');
  }
  json->Close(']').Close('}');
}

void WriteSpool(const AgentStatus& status, JsonWriter* json) {
  json->Key("spool").Open('{');
  json->Field("stream_id", status.stream_id.ToString());
  json->Field("stream_reason", status.stream_reason);
  json->Field("bytes", status.spool_bytes);
  json->Field("cap_bytes", status.spool_cap_bytes);
  json->Key("lanes").Open('{');
  for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
    json->Key(kLaneNames[lane]).Open('{');
    json->Field("oldest_seq", status.lanes[lane].oldest_seq);
    json->Field("newest_seq", status.lanes[lane].newest_seq);
    json->Field("acked_seq", status.lanes[lane].acked_seq);
    json->Close('}');
  }
  json->Close('}').Close('}');
}

void WriteCounts(std::string_view name,
                 const std::vector<std::pair<std::string, std::uint64_t>>& counts,
                 JsonWriter* json) {
  json->Key(name).Open('{');
  for (const auto& [key, count] : counts) json->Field(key, count);
  json->Close('}');
}

void WriteCosts(const AgentStatus& status, JsonWriter* json) {
  json->Key("processes").Open('[');
  for (const AgentStatus::Process& process : status.processes) {
    json->Open('{');
    json->Field("name", process.name);
    json->Key("pid").Signed(process.pid);
    json->Field("cpu_us", process.usage.cpu_us);
    json->Field("rss_bytes", process.usage.rss_bytes);
    json->Field("pss_bytes", process.usage.pss_bytes);
    json->Close('}');
  }
  json->Close(']').Key("programs").Open('[');
  for (const ProgramCostFacts& program : status.program_costs) {
    json->Open('{');
    json->Field("name", program.name);
    json->Field("run_count", program.run_count);
    json->Field("run_time_ns", program.run_time_ns);
    json->Close('}');
  }
  json->Close(']');
}

}  // namespace

Residual ResidualOf(const TrafficFacts& traffic) {
  std::uint64_t known = 0;
  for (const std::uint64_t bytes : traffic.bytes) known += bytes;
  Residual residual;
  residual.bytes = static_cast<std::int64_t>(traffic.interface_bytes - known);
  if (traffic.interface_bytes != 0) {
    residual.percent =
        100.0 * static_cast<double>(residual.bytes) / static_cast<double>(traffic.interface_bytes);
  }
  return residual;
}

std::string StatusJson(const AgentStatus& status) {
  JsonWriter json;
  json.Open('{');
  json.Field("version", status.version);
  json.Key("pid").Signed(status.pid);
  json.Field("started", FormatUtc(status.started));
  json.Field("uptime_ms", status.uptime_ms);
  json.Field("boot_id", status.boot_id.ToString());
  json.Field("run_id", status.run_id.ToString());
  json.Key("host").Open('{');
  json.Field("hostname", status.host.hostname);
  json.Field("instance_id", status.host.instance_id);
  json.Field("identity_source", status.host.identity_source);
  json.Field("region", status.host.region);
  json.Field("kernel", status.host.kernel);
  json.Close('}');
  WriteFidelity(status.fidelity, &json);
  json.Key("degraded").Open('[');
  for (const std::string& what : status.degraded) json.Text(what);
  json.Close(']');
  json.Key("config").Open('{');
  json.Field("loaded", FormatUtc(status.config_loaded));
  json.Field("refused", status.reload_refused);
  json.Key("restart_pending").Open('[');
  for (const std::string& key : status.restart_pending) json.Text(key);
  json.Close(']').Close('}');
  json.Key("canary").Open('{');
  json.Field("made", status.canary_made);
  json.Field("seen", status.canary_seen);
  json.Close('}');
  json.Key("collector").Open('{');
  json.Field("address", status.collector);
  json.FlagField("sink", status.sink);
  WriteSender(status.sender, &json);
  json.Close('}');
  WriteSpool(status, &json);
  json.Field("flows_live", status.flows_live);
  json.Field("processes_live", status.processes_live);
  WriteCounts("counters", status.counters, &json);
  WriteCounts("losses", status.losses, &json);
  WriteCoverage(status, &json);
  json.FlagField("costs_measured", status.costs_measured);
  WriteCosts(status, &json);
  json.Close('}');
  return json.text();
}

std::string StatusText(const AgentStatus& status) {
  std::string out = fmt::format(
      "culprit-agent {}, pid {}, up {}, since {}\nHost       {} ({}), {} from {}, kernel {}\n",
      status.version, status.pid, Span(status.uptime_ms), FormatUtc(status.started),
      EscapeText(status.host.hostname), EscapeText(status.host.os), status.host.instance_id,
      status.host.identity_source, EscapeText(status.host.kernel));
  if (status.degraded.empty()) out += "Degraded   no\n";
  for (const std::string& what : status.degraded) out += "DEGRADED   " + EscapeText(what) + "\n";
  for (const std::string& key : status.restart_pending)
    out += "Restart    is needed for the new " + EscapeText(key) + "\n";
  CollectorPage(status, &out);
  SpoolPage(status, &out);
  FidelityPage(status.fidelity, &out);
  out +=
      fmt::format("Tables     {} flows, {} processes\n", status.flows_live, status.processes_live);
  CountPage("Losses", status.losses, true, &out);
  CountPage("Counters", status.counters, false, &out);
  CoveragePage(status, &out);
  CostPage(status, &out);
  return out;
}

}  // namespace culprit
