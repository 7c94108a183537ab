// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/metric_text.h"

namespace culprit {
namespace {

constexpr std::string_view kLaneNames[kLaneCount] = {"evidence", "bulk"};

std::uint64_t Count(std::size_t n) { return n; }
std::uint64_t Flag(bool set) { return set ? 1 : 0; }

void AddState(const AgentStatus& status, MetricText* out) {
  out->Gauge("culprit_agent_build_info", "Version of this agent, as a label; always 1.");
  out->Sample({{"version", status.version}}, std::uint64_t{1});
  out->Gauge("culprit_agent_start_time_seconds", "When the agent started, since the Unix epoch.",
             UnixSeconds(status.started));
  out->Gauge("culprit_agent_degraded_modes", "Degraded modes in force (culprit-agent status).",
             Count(status.degraded.size()));
  out->Gauge("culprit_agent_collector_connected", "1 while the collector takes evidence.",
             Flag(status.sender.connected));
  out->Gauge("culprit_agent_config_last_reload_successful",
             "1 if the newest configuration that was read is in force, 0 if it was refused.",
             Flag(status.reload_refused.empty()));
  out->Gauge("culprit_agent_config_last_reload_success_timestamp_seconds",
             "When the configuration in force was read, since the Unix epoch.",
             UnixSeconds(status.config_loaded));
  out->Gauge("culprit_agent_config_restart_pending",
             "Keys whose new value takes effect after a restart.",
             Count(status.restart_pending.size()));
  out->Gauge("culprit_agent_hook_active", "1 while what is named gives the agent what it watches.");
  for (const HookFacts& hook : status.fidelity.hooks)
    out->Sample({{"hook", hook.name}}, Flag(hook.active));
  out->Counter("culprit_agent_canary_connections_total",
               "Connections of the agent to itself that must show up in its own events.");
  out->Sample({{"result", "made"}}, status.canary_made);
  out->Sample({{"result", "seen"}}, status.canary_seen);
}

void AddEvidence(const AgentStatus& status, MetricText* out) {
  out->Gauge("culprit_agent_flows", "Flows that are open.", status.flows_live);
  out->Gauge("culprit_agent_processes", "Processes that are known.", status.processes_live);
  out->Gauge("culprit_agent_spool_size_bytes", "Evidence that waits on disk.", status.spool_bytes);
  out->Gauge("culprit_agent_spool_limit_bytes", "Cap of that; beyond it the oldest goes.",
             status.spool_cap_bytes);
  out->Counter("culprit_agent_spool_frames_total", "Frames of the stream, written so far.");
  for (std::size_t lane = 0; lane < kLaneCount; ++lane)
    out->Sample({{"lane", kLaneNames[lane]}}, status.lanes[lane].newest_seq);
  out->Counter("culprit_agent_spool_acknowledged_frames_total",
               "Frames of the stream that the collector has on disk.");
  for (std::size_t lane = 0; lane < kLaneCount; ++lane)
    out->Sample({{"lane", kLaneNames[lane]}}, status.lanes[lane].acked_seq);
  out->Counter("culprit_agent_lost_total", "What was lost and declared, by cause.");
  for (const auto& [cause, count] : status.losses) out->Sample({{"cause", cause}}, count);
  out->Counter("culprit_agent_sent_bytes_total", "Payload sent to the collector by this sender.",
               status.sender.bytes_sent);
  out->Counter("culprit_agent_sender_restarts_total", "Starts of the sender after the first.",
               status.sender.restarts);
  out->Counter("culprit_agent_reconnects_total", "Connections to the collector after the first.",
               status.sender.reconnects);
  out->Gauge("culprit_agent_clock_skew_seconds", "This host's clock less the collector's.",
             static_cast<double>(status.sender.collector_skew_ns) / 1e9);
}

void AddCost(const AgentStatus& status, MetricText* out) {
  out->Counter("culprit_agent_cpu_seconds_total", "CPU time of the agent's processes.");
  for (const AgentStatus::Process& process : status.processes)
    out->Sample({{"process", process.name}}, static_cast<double>(process.usage.cpu_us) / 1e6);
  out->Gauge("culprit_agent_resident_memory_bytes", "Memory of each that is in RAM.");
  for (const AgentStatus::Process& process : status.processes)
    out->Sample({{"process", process.name}}, process.usage.rss_bytes);
}

}  // namespace

std::string StatusMetrics(const AgentStatus& status) {
  MetricText out;
  AddState(status, &out);
  AddEvidence(status, &out);
  AddCost(status, &out);
  return out.text();
}

// Whoever owns the directory could put a link in the way: nothing of theirs is opened.
Status WriteTextfile(const std::string& path, std::string_view text) {
  const std::string next = path + ".tmp";
  TRY_VOID(RemoveFile(next));
  const UniqueFd fd(open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return ErrnoError("create " + next);
  Status written = WriteAll(fd.get(), text);
  if (written && fchmod(fd.get(), 0644) != 0) written = ErrnoError("fchmod " + next);
  if (written) written = RenameFile(next, path);
  if (!written) unlink(next.c_str());
  return written;
}

}  // namespace culprit
