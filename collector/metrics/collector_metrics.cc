// SPDX-License-Identifier: Apache-2.0
#include "collector/metrics/collector_metrics.h"

#include "collector/metrics/health.h"
#include "common/metric_text.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxReasons = 64;

std::uint64_t Count(std::size_t n) { return n; }

void AddProcess(const CollectorFacts& facts, MetricText* out) {
  out->Gauge("culprit_collector_build_info", "Version of this collector, as a label; always 1.");
  out->Sample({{"version", facts.version}}, std::uint64_t{1});
  out->Counter("process_cpu_seconds_total", "CPU time of the collector, user and system.");
  out->Sample({}, facts.process.cpu_seconds);
  out->Gauge("process_resident_memory_bytes", "Memory of the collector that is in RAM.",
             facts.process.resident_bytes);
  out->Gauge("process_open_fds", "Descriptors that the collector has open.",
             facts.process.open_fds);
  out->Gauge("process_start_time_seconds", "When the collector started, since the Unix epoch.",
             UnixSeconds(facts.started));
}

void AddHealth(const CollectorFacts& facts, MetricText* out) {
  const Health health = JudgeHealth(facts);
  out->Gauge("culprit_collector_healthy", "1 while /healthz answers 200, 0 while it answers 503.",
             std::uint64_t{health.level == HealthLevel::kFailing ? 0U : 1U});
  out->Gauge("culprit_collector_check_status",
             "Each part of /healthz: 0 fine, 1 warning, 2 failing.");
  for (const HealthCheck& check : health.checks) {
    out->Sample({{"check", check.name}}, static_cast<std::uint64_t>(check.level));
  }
  out->Gauge("culprit_collector_degraded_modes", "Degraded modes in force (culprit status).",
             Count(facts.degraded));
  out->Gauge("culprit_collector_config_last_reload_successful",
             "1 if the newest configuration that was read is in force, 0 if it was refused.",
             std::uint64_t{facts.config_refused.empty() ? 1U : 0U});
  out->Gauge("culprit_collector_config_last_reload_success_timestamp_seconds",
             "When the configuration in force was read, since the Unix epoch.",
             UnixSeconds(facts.config_loaded));
  out->Gauge("culprit_collector_config_restart_pending",
             "Keys whose new value takes effect after a restart.", Count(facts.restart_pending));
  out->Gauge("culprit_collector_certificate_expiry_timestamp_seconds",
             "When the server's certificate ends, since the Unix epoch.",
             UnixSeconds(facts.certificate_not_after));
}

void AddStorage(const CollectorFacts& facts, MetricText* out) {
  const JournalStats& journal = facts.journal;
  out->Gauge("culprit_collector_journal_writable", "1 while evidence is accepted.",
             std::uint64_t{journal.failed.empty() ? 1U : 0U});
  out->Counter("culprit_collector_journal_commits_total", "Group commits of the journal.",
               journal.commits);
  out->Gauge("culprit_collector_journal_durable_lsn", "Number of the newest entry that is on disk.",
             std::uint64_t{journal.durable_lsn});
  out->Gauge("culprit_collector_journal_size_bytes", "Size of the journal on disk.", journal.bytes);
  out->Gauge("culprit_collector_journal_segments", "Files of the journal.", journal.segments);
  out->Gauge("culprit_collector_disk_free_bytes", "Free space under the data directory.",
             facts.disk_free_bytes);
  out->Gauge("culprit_collector_index_lag_frames", "Frames on disk that answers do not show yet.",
             facts.index.lag);
  out->Gauge("culprit_collector_index_size_bytes", "Size of the index on disk.", facts.index.bytes);
  out->Counter("culprit_collector_index_records_total", "Records indexed since the start.");
  out->Sample({{"result", "indexed"}}, facts.index.records);
  out->Sample({{"result", "rejected"}}, facts.index.rejected_records);
  out->Gauge("culprit_collector_detect_lag_frames",
             "Frames on disk that the detectors have not taken yet.", facts.detect.lag);
  out->Counter("culprit_collector_findings_put_total",
               "Findings stored since the start, updates of one included.", facts.detect.findings);
}

void AddAlerts(const CollectorFacts& facts, MetricText* out) {
  using Target = CollectorFacts::AlertTarget;
  const auto family = [&](std::uint64_t Target::*field) {
    for (const Target& target : facts.alerts) out->Sample({{"target", target.name}}, target.*field);
  };
  out->Gauge("culprit_collector_alerts_queued", "Alerts that wait for their target.");
  family(&Target::queued);
  out->Counter("culprit_collector_alerts_delivered_total", "Alerts that a target has taken.");
  family(&Target::delivered);
  out->Counter("culprit_collector_alerts_lost_total",
               "Alerts that were given up: refused, or pushed out of a full queue.");
  family(&Target::lost);
  out->Gauge("culprit_collector_alert_failures", "Failed attempts since the newest success.");
  family(&Target::failures);
}

void AddFrames(const IngestStats& ingest, MetricText* out) {
  std::uint64_t bytes = 0, gaps = 0, missing = 0, forks = 0, rollbacks = 0;
  for (const AgentIngestStats& agent : ingest.agents) {
    bytes += agent.payload_bytes;
    gaps += agent.gaps;
    missing += agent.missing_frames;
    forks += agent.forks;
    rollbacks += agent.rollbacks;
  }
  out->Counter("culprit_collector_frames_total", "Frames that agents sent, by what came of them.");
  out->Sample({{"result", "accepted"}}, ingest.frames_accepted);
  out->Sample({{"result", "duplicate"}}, ingest.frames_duplicate);
  out->Sample({{"result", "rejected"}}, ingest.frames_rejected);
  out->Counter("culprit_collector_records_total", "Records in accepted frames.");
  out->Sample({{"result", "accepted"}}, ingest.records_accepted);
  out->Sample({{"result", "rejected"}}, ingest.records_rejected);
  out->Counter("culprit_collector_received_bytes_total",
               "Payload of accepted frames, compressed as it came.", bytes);
  out->Counter("culprit_collector_sequence_faults_total",
               "Frames that do not follow the one before, by kind.");
  out->Sample({{"kind", "gap"}}, gaps);
  out->Sample({{"kind", "fork"}}, forks);
  out->Sample({{"kind", "rollback"}}, rollbacks);
  out->Counter("culprit_collector_missing_frames_total", "Frames that gaps stand for.", missing);
  out->Counter("culprit_collector_refusals_total", "All that was refused, by reason.");
  std::size_t reasons = 0;
  for (const auto& [reason, count] : ingest.refusals) {
    if (++reasons > kMaxReasons) break;
    out->Sample({{"reason", reason}}, count);
  }
}

void AddAgents(const CollectorFacts& facts, MetricText* out) {
  std::uint64_t connections = 0;
  for (const AgentIngestStats& agent : facts.ingest.agents) connections += agent.connections;
  out->Gauge("culprit_collector_agents", "Agents that were heard since the start.",
             Count(facts.ingest.agents.size()));
  out->Gauge("culprit_collector_agents_connected", "Agents with a connection.",
             facts.ingest.agents_connected);
  out->Gauge("culprit_collector_agents_silent",
             "Agents that have sent nothing for detect.integrity.silence_seconds.",
             Count(SilentAgents(facts)));
  out->Counter("culprit_collector_agent_connections_total", "Connections of agents.", connections);
}

}  // namespace

std::string CollectorMetrics(const CollectorFacts& facts) {
  MetricText out;
  AddProcess(facts, &out);
  AddHealth(facts, &out);
  AddStorage(facts, &out);
  AddAlerts(facts, &out);
  AddFrames(facts.ingest, &out);
  AddAgents(facts, &out);
  return out.text();
}

}  // namespace culprit
