// SPDX-License-Identifier: Apache-2.0
// What the sensor says about itself: status(), the heartbeat, and the degraded modes in both.
#include <unistd.h>

#include <ctime>
#include <utility>

#include "agent/agent_impl.h"

namespace culprit {
namespace {

constexpr std::uint32_t kPssEveryBeats = 6;  // smaps_rollup walks page tables

constexpr std::string_view kCauseNames[] = {
    "unspecified", "ring full",     "socket storage",     "peer table full", "process table full",
    "spool cap",   "spool corrupt", "spool write",        "quarantined",     "agent tables full",
    "queue full",  "hash queue",    "forward table full", "ledger full",     "process budget"};

std::vector<ProgramCostFacts> Costs(const EventSource& source) {
  std::vector<ProgramCostFacts> costs;
  for (ProgramCost& cost : source.program_costs()) {
    costs.push_back({std::move(cost.name), cost.run_count, cost.run_time_ns});
  }
  return costs;
}

std::uint64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::vector<std::string> Agent::Impl::Degraded() {
  std::vector<std::string> degraded;
  if (spool_output_ != nullptr && !spool_output_->problem().empty())
    degraded.push_back(spool_output_->problem());
  for (const HookStatus& hook : source_->fidelity().hooks) {
    if (hook.required && !hook.active)
      degraded.push_back("capture: hook " + hook.name + " is missing: " + hook.note);
  }
  if (hasher_ && hasher_->mode() != "fanotify")
    degraded.push_back("executable hashes: " + hasher_->mode());
  if (sender_ && !setup_.replay) {  // a replay waits for it
    const SenderStatus sender = sender_->status();
    if (!sender.connected) {
      degraded.push_back((HasCollector() ? "collector: not connected" : "sink: nothing is stored") +
                         std::string(sender.last_error.empty() ? "" : ": " + sender.last_error));
    }
  }
  if (!sender_ && spool_ && Sends())
    degraded.push_back(std::string(HasCollector() ? "collector" : "sink") +
                       ": the sender does not run: see the log, and reload or restart");
  for (std::string& problem : packets_->problems()) degraded.push_back(std::move(problem));
  for (std::string& problem : snapshots_->problems()) degraded.push_back(std::move(problem));
  const std::string identity = identity_->problem();
  if (!identity.empty()) degraded.push_back("identity: " + identity);
  if (recorder_ && !recorder_->stopped().empty())
    degraded.push_back("recording: " + recorder_->stopped());
  if (canary_ && canary_->blind()) {
    degraded.push_back(
        "canary: connections of the agent to itself do not show up in its own events: what others "
        "do may not either");
  }
  if (!reload_refused_.empty()) {
    degraded.push_back("reload: the newest configuration was refused, the one of " +
                       FormatUtc(config_loaded_) + " is in force: " + reload_refused_);
  }
  if (const auto faults = decoder_.counters().total_faults(); faults > 0) {
    degraded.push_back("decode: " + std::to_string(faults) + " malformed kernel records");
  }
  return degraded;
}

FidelityFacts Agent::Impl::Fidelity() const {
  SourceFidelity source = source_->fidelity();
  FidelityFacts facts;
  for (HookStatus& hook : source.hooks) {
    facts.hooks.push_back({std::move(hook.name), hook.active, std::move(hook.note), hook.required});
  }
  if (logins_) facts.hooks.push_back({"logins", logins_->active(), logins_->note(), false});
  if (posture_) facts.hooks.push_back({"ssh", posture_->active(), posture_->note(), false});
  if (canary_) facts.hooks.push_back({"canary", !canary_->blind(), canary_->note(), false});
  if (snapshots_->watches_shutdown()) {
    std::string note = snapshots_->shutdown_note();
    facts.hooks.push_back({"shutdown inhibitor", note.empty(), std::move(note), false});
  }
  facts.owner_mode = std::move(source.owner_mode);
  facts.source = std::move(source.source);
  facts.exe_hash_mode = hasher_         ? hasher_->mode()
                        : setup_.replay ? "none: replay"
                                        : "none: switched off";
  return facts;
}

std::uint64_t Agent::Impl::EventsLost() const {
  const AggregateCounters& aggregate = aggregator_->counters();
  return kernel_lost_ + aggregate.rows_dropped + aggregate.processes_dropped +
         decoder_.counters().total_faults();
}

std::vector<AgentStatus::Process> Agent::Impl::OwnProcesses(bool with_pss) {
  std::vector<AgentStatus::Process> processes;
  const auto add = [&](std::string name, int pid) {
    if (pid <= 0) return;
    const auto usage = procfs_.Usage(Tgid(static_cast<std::uint32_t>(pid)), with_pss);
    if (usage) processes.push_back({std::move(name), pid, *usage});
  };
  add("sensor", getpid());
  if (sender_) add("sender", sender_->status().pid);
  add("parser", packets_->parser_pid());
  add("snapshot", snapshots_->collecting_pid());
  return processes;
}

HeartbeatFacts Agent::Impl::Heartbeat(BootTime now) {
  HeartbeatFacts beat;
  beat.at = now;
  beat.flows_live = aggregator_->live_flows();
  beat.processes_live = enricher_->live_processes();
  if (spool_) {
    beat.spool_bytes = spool_->bytes();
    beat.spool_cap_bytes = setup_.config.spool.max_bytes;
  }
  const bool with_pss = beats_++ % kPssEveryBeats == 0;
  ProcessUsage sum;
  for (const AgentStatus::Process& process : OwnProcesses(with_pss)) {
    sum.cpu_us += process.usage.cpu_us;
    sum.rss_bytes += process.usage.rss_bytes;
    sum.pss_bytes += process.usage.pss_bytes;
    if (process.name == "sender") sender_cpu_us_ = process.usage.cpu_us;
  }
  sum.cpu_us += ended_senders_cpu_us_;
  if (!with_pss) sum.pss_bytes = usage_.pss_bytes;
  usage_ = sum;
  beat.agent_cpu_us = sum.cpu_us;
  beat.agent_rss_bytes = sum.rss_bytes;
  beat.agent_pss_bytes = sum.pss_bytes;
  beat.events_received = decoder_.counters().records;
  beat.events_lost = EventsLost();
  beat.program_costs = Costs(*source_);
  beat.degraded = Degraded();
  if (self_check_) {
    self_check_->Fill(spool_.get(), &beat);
    beat.at_mono_ns = MonotonicNs();
    beat.interval_ms = static_cast<std::uint32_t>(setup_.config.heartbeat.count());
    beat.links_made = links_.made;
    beat.link_ids = links_.links;
    beat.program_ids = links_.programs;
    beat.stop_reason = stop_reason_;
    if (beat.spool_files_missing > 0)
      beat.degraded.push_back(
          "spool: " + std::to_string(beat.spool_files_missing) +
          " of its files were removed under it; what was not sent is declared as lost");
  }
  return beat;
}

std::vector<std::pair<std::string, std::uint64_t>> Agent::Impl::Counters() const {
  const AggregateCounters& aggregate = aggregator_->counters();
  const EnrichCounters& enrich = enricher_->counters();
  const ExeHasherStats hash = hasher_ ? hasher_->stats() : ExeHasherStats{};
  std::vector<std::pair<std::string, std::uint64_t>> counters = {
      {"kernel records", decoder_.counters().records},
      {"malformed records", decoder_.counters().total_faults()},
      {"flows started", aggregate.flows_started},
      {"flows ended", aggregate.flows_ended},
      {"flow rows, evidence", aggregate.rows[0]},
      {"flow rows, bulk", aggregate.rows[1]},
      {"process definitions", enrich.definitions_sent},
      {"process amendments", enrich.amendments_sent},
      {"processes without exec or fork", enrich.placeholders},
      {"passes over all processes", resyncs_},
      {"processes that only a pass found", enrich.found_by_resync},
      {"exits that only a pass found", enrich.exits_missed},
      {"flows that went on from a run before", aggregate.flows_resumed},
      {"flows without room to be remembered", flow_memory_ ? flow_memory_->refused() : 0},
      {"flows without a process", enrich.unknown_owners},
      {"frames written", spool_output_ != nullptr ? spool_output_->frames() : 0},
      {"frames not written", spool_output_ != nullptr ? spool_output_->failed_frames() : 0},
      {"executables hashed", hash.hashed},
      {"executables known already", hash.cache_hits},
      {"executables too big or unreadable", hash.too_big + hash.unreadable},
      {"executables gone before hashing", hash.gone},
  };
  for (auto& counter : packets_->counters()) counters.push_back(std::move(counter));
  for (auto& counter : snapshots_->counters()) counters.push_back(std::move(counter));
  if (logins_) {
    for (auto& counter : logins_->counters()) counters.push_back(std::move(counter));
  }
  if (posture_) {
    for (auto& counter : posture_->counters()) counters.push_back(std::move(counter));
  }
  return counters;
}

// A source that knows whose events it has is not second-guessed by the host that replays them.
HostFacts Agent::Impl::Host() const {
  std::optional<HostFacts> named = source_->host();
  return named ? std::move(*named) : identity_->facts();
}

AgentStatus Agent::Impl::status() {
  AgentStatus status;
  const ClockPair now = source_->ReadClock();
  status.version = setup_.version;
  status.pid = getpid();
  status.started = started_.wall;
  status.uptime_ms =
      static_cast<std::uint64_t>((now.boot - started_.boot) / std::chrono::milliseconds(1));
  status.boot_id = boot_id_;
  status.run_id = run_id_;
  status.host = Host();
  status.fidelity = Fidelity();
  status.degraded = Degraded();
  status.config_loaded = config_loaded_;
  status.reload_refused = reload_refused_;
  status.restart_pending = restart_pending_;
  if (canary_) {
    status.canary_made = canary_->made();
    status.canary_seen = canary_->seen();
  }
  status.sink = setup_.config.sink.enabled();
  status.collector = !sender_      ? ""
                     : status.sink ? SinkName(setup_.config.sink)
                                   : setup_.config.collector.address;
  if (sender_) status.sender = sender_->status();
  if (spool_) {
    status.stream_id = spool_->stream_id();
    status.stream_reason = spool_->stream_reason();
    status.spool_bytes = spool_->bytes();
    status.spool_cap_bytes = setup_.config.spool.max_bytes;
    for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
      status.lanes[static_cast<std::size_t>(lane)] = spool_->lane(lane);
    }
  }
  status.flows_live = aggregator_->live_flows();
  status.processes_live = enricher_->live_processes();
  status.counters = Counters();
  for (std::size_t cause = 0; cause < std::size(kCauseNames); ++cause) {
    status.losses.emplace_back(kCauseNames[cause], losses_by_cause_[cause]);
  }
  status.processes = OwnProcesses(true);
  status.costs_measured = setup_.config.kernel.measure_cost && !setup_.replay;
  status.program_costs = Costs(*source_);
  status.coverage = last_coverage_;
  return status;
}

}  // namespace culprit
