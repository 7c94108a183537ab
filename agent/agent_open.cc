// SPDX-License-Identifier: Apache-2.0
// How the sensor's parts come to be, in the order in which they need each other.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "agent/agent_impl.h"
#include "agent/assemble/flow_assembler.h"
#include "common/file.h"

namespace culprit {

Status Agent::Impl::OpenSpool() {
  const AgentConfig& config = setup_.config;
  if (setup_.output) {
    output_ = std::move(setup_.output);
    return Ok();
  }
  if (setup_.print) {
    if (setup_.print_path.empty()) {
      output_ = std::make_unique<PrintOutput>(stdout);
    } else {
      TRY(output_, PrintOutput::ToFile(setup_.print_path));
    }
    return Ok();
  }
  TRY_VOID(MakeDirectories(config.state_dir, 0700));
  auto lock = LockFile(config.state_dir + "/lock");
  if (!lock) {
    return std::move(lock).error().Context(
        "the state directory is in use: is another culprit-agent running? (" + config.state_dir +
        ")");
  }
  lock_ = std::move(*lock);
  SpoolOptions options;
  options.directory = config.SpoolDirectory();
  options.max_bytes = config.spool.max_bytes;
  options.segment_bytes = config.spool.segment_bytes;
  TRY_VOID(MakeDirectories(options.directory, 0700));
  TRY(spool_, Spool::Open(options));
  shipped_stream_ = spool_->stream_id();
  auto output = std::make_unique<SpoolOutput>(spool_.get());
  spool_output_ = output.get();
  output_ = std::move(output);
  return Ok();
}

Status Agent::Impl::OpenSource() {
  const AgentConfig& config = setup_.config;
  TRY(source_, setup_.open_source([this](Event event) { OnEvent(std::move(event)); }));
  boot_id_ = source_->boot_id();
  started_ = source_->ReadClock();
  sink_ = [this](std::string_view record) { OnRecord(record); };
  if (!setup_.record_path.empty()) {
    RecordingHeader header;
    header.boot_id = boot_id_;
    header.clock = started_;
    header.owner_mode = source_->fidelity().owner_mode;
    TRY(recorder_, Recorder::Create(setup_.record_path, header, config.limits.max_recording_bytes));
  }
  AggregateLimits aggregate;
  aggregate.max_flows = config.limits.max_flows;
  EnrichLimits enrich;
  enrich.max_processes = config.limits.max_processes;
  if (setup_.replay) {
    // Not the suspect's machine: what is read as open is told as open.
    aggregate.max_flows = std::max(aggregate.max_flows, AssembleLimits{}.max_flows);
    users_ = std::make_unique<NoUserNames>();
  } else {
    users_ = std::make_unique<HostUsers>();
  }
  aggregator_ = std::make_unique<Aggregator>(boot_id_, run_id_, aggregate);
  if (spool_ && !setup_.replay) {
    auto memory = FlowMemoryFile::Open(config.state_dir + "/flows", boot_id_, aggregate.max_flows);
    if (memory) {
      flow_memory_ = std::move(*memory);
      aggregator_->Remember(flow_memory_.get(), flow_memory_->former());
    } else {
      spdlog::warn("counters of open flows begin anew error={}", memory.error().message);
    }
  }
  enricher_ = std::make_unique<Enricher>(boot_id_, enrich, *users_, *aggregator_);
  return Ok();
}

Status Agent::Impl::Open() {
  const AgentConfig& config = setup_.config;
  TRY_VOID(OpenSpool());
  TRY_VOID(OpenSource());
  IdentityOptions identity;
  identity.source = setup_.replay ? "machine" : config.identity.source;
  identity.endpoint = config.identity.endpoint;
  identity.agent_version = setup_.version;
  identity_ = std::make_unique<HostIdentity>(std::move(identity));
  if (!setup_.replay) {
    ExeHasherOptions hash;
    hash.use_fanotify = config.hash.enabled;
    hash.max_file_bytes = config.hash.max_file_bytes;
    hash.bytes_per_second = config.hash.bytes_per_second;
    if (config.hash.enabled) {
      TRY(hasher_, ExeHasher::Start(hash));
    }
  }
  if (!setup_.replay) {
    logins_ = std::make_unique<LoginFeed>(config, boot_id_, *enricher_, *users_);
  }
  if (!setup_.replay && config.posture.enabled)
    posture_ = std::make_unique<PostureFeed>(*enricher_);
  packets_ = std::make_unique<PacketFeed>(setup_.replay ? AgentConfig{} : config, setup_.version);
  AgentConfig none;
  none.snapshot.enabled = false;
  snapshots_ = std::make_unique<SnapshotFeed>(setup_.replay || !HasCollector() ? none : config);
  TRY_VOID(StartSender());
  config_loaded_ = started_.wall;
  if (spool_ && !setup_.replay) {
    canary_ = std::make_unique<Canary>(static_cast<std::uint32_t>(getpid()), config.canary,
                                       ConnectToOneself);
    self_check_ =
        std::make_unique<SelfCheck>(config.state_dir, setup_.config_path, run_id_, boot_id_);
  }
  if (spool_) {
    auto server = StatusServer::Listen(config.state_dir);
    if (server) {
      status_server_ = std::move(*server);
    } else {
      spdlog::warn("no status socket error={}", server.error().message);
    }
  }
  return Ok();
}

Status Agent::Impl::Begin() {
  LabelOwnProcesses();
  ShipFacts();
  ShipLosses();  // what the spool found damaged when it was opened
  if (!setup_.replay) MarkResync(false);
  TRY_VOID(source_->Start(sink_));
  if (!setup_.replay) MarkResync(true);
  AddProcessText(std::exchange(existing_, {}));
  begun_ = true;
  const BootTime now = Now();
  busy_until_ = now + std::chrono::seconds(2);
  next_tick_ = now;
  next_sweep_ = now + std::chrono::seconds(1);
  next_beat_ = now;
  settled_at_ = now + std::chrono::seconds(15);
  next_resync_ = now + std::chrono::seconds(60);
  const SourceFidelity fidelity = source_->fidelity();
  for (const HookStatus& hook : fidelity.hooks) {
    if (hook.active) continue;
    spdlog::log(hook.required ? spdlog::level::err : spdlog::level::info,
                "hook missing name={} required={} note={}", hook.name, hook.required, hook.note);
  }
  spdlog::info("capturing source={} processes={} stream={} reason={}", fidelity.source,
               enricher_->live_processes(), spool_ ? spool_->stream_id().ToString() : "none",
               spool_ ? spool_->stream_reason() : "print");
  return Ok();
}

// Arguments, working directory and container of what was there before (the iterators gave the
// identities), and of what only a flow told about.
void Agent::Impl::AddProcessText(const std::vector<Tgid>& tgids) {
  if (setup_.replay || tgids.empty()) return;
  const BootTime now = Now();
  for (const Tgid tgid : tgids) {
    auto text = procfs_.Read(tgid, now);
    if (!text) continue;
    if (recorder_) recorder_->ProcessText(*text);
    enricher_->Apply(Event(std::move(*text)));
  }
}

}  // namespace culprit
