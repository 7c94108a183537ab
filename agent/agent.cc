// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "agent/agent_impl.h"
#include "agent/source/host_shutdown.h"
#include "common/memory.h"
#include "common/sd_notify.h"

namespace culprit {
namespace {

using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kTick(50);               // while there is something to time
constexpr milliseconds kBusyAfterRecord(1500);  // longer than the delays of hints and first bytes
constexpr seconds kSweep(1);
constexpr seconds kQuietSweep(
    2);  // nothing moved since the last one: a sweep walks whole kernel tables
constexpr seconds kRedefine(60);
constexpr seconds kResync(60);          // some 5 ms each with 200 processes
constexpr seconds kResyncAfterLoss(5);  // at most so often
constexpr milliseconds kShipAfter[kLaneCount] = {milliseconds(50), milliseconds(900)};
constexpr std::size_t kShipRows = 1000;  // enough for a frame: no waiting
constexpr hours kFactsEvery(1);
constexpr std::size_t kMaxExisting = 65'536;

}  // namespace

// ---- Source -> decode -> enrich -> aggregate -> output ----

void Agent::Impl::OnRecord(std::string_view record) {
  if (recorder_) recorder_->KernelRecord(record);
  Event event;
  if (decoder_.Decode(record, event) == DecodeFault::kNone) OnEvent(std::move(event));
}

void Agent::Impl::OnEvent(Event event) {
  if (const auto* exec = std::get_if<ExecEvent>(&event)) AskForHash(*exec);
  if (const auto* lost = std::get_if<LostEvent>(&event)) {
    kernel_lost_ = 0;  // the record is cumulative
    for (std::size_t i = 0; i < lost->stat.size(); ++i) {
      if (i != CULPRIT_STAT_EVENTS_SENT && i != CULPRIT_STAT_FLOW_SUPPRESSED)
        kernel_lost_ += lost->stat[i];
    }
    std::uint64_t records = 0;
    for (const auto stat : {CULPRIT_STAT_RING_FULL_EXEC, CULPRIT_STAT_RING_FULL_FORK,
                            CULPRIT_STAT_RING_FULL_EXIT, CULPRIT_STAT_RING_FULL_FLOW}) {
      records += lost->stat[stat];
    }
    resync_due_ |= records > std::exchange(records_lost_, records);
  } else if (const auto* ledger = std::get_if<InterfaceEvent>(&event)) {
    coverage_.On(*ledger);
  } else if (const auto* device = std::get_if<InterfaceCountersEvent>(&event)) {
    coverage_.On(*device);
  } else if (!resyncing_) {
    ++moved_;
  }
  if (const auto* flow = std::get_if<FlowEvent>(&event); flow != nullptr && canary_)
    canary_->On(*flow);
  enricher_->Apply(event);
  if (logins_) logins_->On(event);
  if (posture_) posture_->On(event);
  if (auto* seen = std::get_if<ObservationEvent>(&event)) names_.On(std::move(*seen));
}

void Agent::Impl::AskForHash(const ExecEvent& exec) {
  if (setup_.replay || exec.kernel_thread) return;
  if (exec.from_iterator && begun_ && enricher_->Knows(exec.key)) return;
  if (exec.from_iterator && existing_.size() < kMaxExisting) existing_.push_back(exec.key.tgid);
  if (!hasher_ || exec.exe.inode == 0) return;
  if (exec.from_iterator) {
    hasher_->OnExisting(exec.key.tgid, exec.exe);
  } else {
    hasher_->OnExec(exec.key.tgid, exec.exe, exec.memfd);
  }
}

void Agent::Impl::PumpParser() {
  packets_->Pump(source_->ReadClock(), [this](ObservationEvent event) {
    OnEvent(Event(std::move(event)));
    busy_until_ = Now() + kBusyAfterRecord;
  });
}

Status Agent::Impl::Capture() {
  const std::uint64_t before = moved_;
  auto more = source_->Poll(milliseconds(0), sink_);
  if (!more) return std::move(more).error();
  if (!*more) ended_ = true;
  if (moved_ != before) busy_until_ = Now() + kBusyAfterRecord;
  return Ok();
}

void Agent::Impl::Assemble(BootTime now) {
  if (now >= next_beat_) Beat(now);  // sweeps, too
  if (now >= next_sweep_) Sweep(now);
  if (now >= next_tick_) {
    aggregator_->Tick(now);
    // Nothing happened lately: the sweep's pace is enough for intervals of ten seconds.
    next_tick_ = now + (now < busy_until_ ? duration_cast<milliseconds>(kTick)
                                          : duration_cast<milliseconds>(kSweep));
  }
  for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
    auto& due = ship_due_[static_cast<std::size_t>(lane)];
    const std::size_t pending = aggregator_->pending(lane);
    if (pending == 0) continue;
    if (!due) due = now + kShipAfter[static_cast<std::size_t>(lane)];
    if (now >= *due || pending >= kShipRows) Ship(lane);
  }
  if (spool_output_ != nullptr) spool_output_->SyncIfDue(now);
}

void Agent::Impl::Ship(Lane lane) {
  const ClockPair clock = source_->ReadClock();
  while (aggregator_->pending(lane) > 0) {
    RecordBatch batch = aggregator_->TakeBatch(lane);
    if (batch.empty()) break;
    for (const LossFacts& loss : batch.losses) {
      losses_by_cause_[static_cast<std::size_t>(loss.cause)] =
          std::max(losses_by_cause_[static_cast<std::size_t>(loss.cause)], loss.count);
    }
    for (const FlowRow& row : batch.flows) names_.On(row);
    packets_->Take(batch);
    // A batch that cannot be written is counted by the spool and declared when writing works again.
    if (!output_->Write(lane, FrameKind::kBatch, batch, clock)) break;
    aggregator_->Reuse(lane, std::move(batch.flows));
  }
  ship_due_[static_cast<std::size_t>(lane)].reset();
  ShipNames();
  PumpSender();
}

// Names follow the rows of their flows.
void Agent::Impl::ShipNames() {
  const ClockPair clock = source_->ReadClock();
  while (names_.pending() > 0) {
    RecordBatch batch;
    batch.boot_id = boot_id_;
    batch.run_id = run_id_;
    names_.Take(&batch, kShipRows);
    if (!output_->Write(Lane::kEvidence, FrameKind::kBatch, batch, clock)) return;
  }
}

// Who the host is and what this agent can see: first of a run, on a change, hourly, and first of a
// new stream.
void Agent::Impl::ShipFacts() {
  const ClockPair clock = source_->ReadClock();
  HostFacts host = Host();
  host.agent_version = setup_.version;
  FidelityFacts fidelity = Fidelity();
  if (!facts_due_ && host == host_ && fidelity == fidelity_ && clock.boot - facts_at_ < kFactsEvery)
    return;
  RecordBatch batch;
  batch.boot_id = boot_id_;
  batch.run_id = run_id_;
  batch.host = host;
  batch.fidelity = fidelity;
  if (!output_->Write(Lane::kEvidence, FrameKind::kBatch, batch, clock)) return;
  facts_due_ = false;
  facts_at_ = clock.boot;
  host_ = std::move(host);
  fidelity_ = std::move(fidelity);
}

void Agent::Impl::ShipLosses() {
  if (!spool_) return;
  if (sender_) {
    for (SpoolLoss& loss : sender_->TakeQuarantined()) quarantined_.push_back(std::move(loss));
  }
  const std::vector<SpoolLoss> losses = spool_->TakeLosses();
  if (losses.empty() && quarantined_.empty()) return;
  const ClockPair clock = source_->ReadClock();
  RecordBatch batch;
  batch.boot_id = boot_id_;
  batch.run_id = run_id_;
  for (const SpoolLoss& loss : losses)
    batch.losses.push_back(ToLossFacts(loss, std::nullopt, clock.boot));
  for (const SpoolLoss& loss : quarantined_) {
    batch.losses.push_back(ToLossFacts(loss, LossCause::kQuarantined, clock.boot));
  }
  // Not written: the spool gives its losses out again, and ours stay here.
  if (!output_->Write(Lane::kEvidence, FrameKind::kLoss, batch, clock)) return;
  quarantined_.clear();
  bool evidence = false;
  for (const LossFacts& loss : batch.losses) {
    losses_by_cause_[static_cast<std::size_t>(loss.cause)] += loss.count;
    evidence |= loss.lane_plus_one == static_cast<std::uint32_t>(Lane::kEvidence) + 1;
  }
  spdlog::warn("evidence lost and declared losses={} first={}", batch.losses.size(),
               batch.losses.front().detail);
  // Definitions of processes may have gone with it.
  redefine_due_ |= evidence;
}

void Agent::Impl::PumpSender() {
  if (!sender_) return;
  if (auto pumped = sender_->Pump(); !pumped) {
    if (const auto n = pump_log_.Allow(); n > 0)
      spdlog::warn("sender times={} error={}", n, pumped.error().message);
  }
  PumpControl();
  LabelOwnProcesses();
  if (spool_->stream_id() != shipped_stream_) {
    shipped_stream_ = spool_->stream_id();
    redefine_due_ = true;
    facts_due_ = true;
  }
}

// Once a minute at most, and not while nobody takes them: under a full spool they would push out
// what they name.
void Agent::Impl::RedefineIfDue(BootTime now) {
  if (!redefine_due_ || now < next_redefine_ || (sender_ && !sender_->status().connected)) return;
  redefine_due_ = false;
  next_redefine_ = now + kRedefine;
  enricher_->ForgetSent();
  if (logins_) logins_->ForgetSent();
  if (posture_) posture_->ForgetSent();
}

void Agent::Impl::LabelOwnProcesses() {
  if (setup_.replay) return;
  const int sender_pid = sender_ ? sender_->status().pid : -1;
  const int parser_pid = packets_->parser_pid();
  const int collecting_pid = snapshots_->collecting_pid();
  if (sender_pid == sender_pid_ && parser_pid == parser_pid_ && collecting_pid == collecting_pid_ &&
      begun_) {
    return;
  }
  collecting_pid_ = collecting_pid;
  parser_pid_ = parser_pid;
  ended_senders_cpu_us_ += std::exchange(sender_cpu_us_, 0);
  sender_pid_ = sender_pid;
  std::vector<Tgid> own{Tgid(static_cast<std::uint32_t>(getpid()))};
  for (const int child : {sender_pid, parser_pid, collecting_pid}) {
    if (child > 0) own.emplace_back(static_cast<std::uint32_t>(child));
  }
  enricher_->SetAgentTgids(own);
}

// ---- Timers ----

void Agent::Impl::Sweep(BootTime now) {
  if (auto swept = source_->Sweep(sink_); !swept) {
    if (const auto n = sweep_log_.Allow(); n > 0)
      spdlog::error("sweep times={} error={}", n, swept.error().message);
  }
  ResyncIfDue(now);
  if (recorder_ && recorder_->stopped().empty()) {
    recorder_->SweepEnd(now);
    recorder_->Clock(source_->ReadClock());
    recorder_->Flush();
  }
  next_sweep_ = now + (moved_ == swept_ && !setup_.replay ? kQuietSweep : kSweep);
  swept_ = moved_;
  if (canary_) canary_->Tick(now, kernel_lost_);
  NoteHashLosses(now);
  AddProcessText(enricher_->TakeUnresolved());
  enricher_->Tick(now);
  PumpParser();
  names_.Tick(now);
  PumpLogins();
  ShipPosture();
  CheckpointIfDue(now);
  next_tick_ = now;
  RestoreSpool();
  ShipLosses();
  PumpSender();
  RedefineIfDue(now);
}

void Agent::Impl::MarkResync(bool end) {
  const ResyncEvent event{Now(), end, source_->sees_all_processes()};
  resyncing_ = !end;
  if (recorder_) recorder_->Resync(event);
  OnEvent(event);
}

// What lost records would have told: processes begun and ended, owners of sockets. Between the
// passes nothing costs.
void Agent::Impl::ResyncIfDue(BootTime now) {
  const bool after_loss = resync_due_ && now >= earliest_resync_;
  if (setup_.replay || (!after_loss && now < next_resync_)) return;
  resync_due_ = false;
  next_resync_ = now + kResync;
  earliest_resync_ = now + kResyncAfterLoss;
  ++resyncs_;
  // Exits on their way must come first, or they are taken for lost ones.
  const auto drain = [this] { return Capture().has_value(); };
  bool complete = drain();
  MarkResync(false);
  if (auto done = source_->Resync(sink_); !done) {
    complete = false;
    if (const auto n = sweep_log_.Allow(); n > 0)
      spdlog::error("pass over all processes times={} error={}", n, done.error().message);
  }
  complete = drain() && complete;
  if (complete) {
    MarkResync(true);
  } else {
    resyncing_ = false;  // silence about a process says nothing
  }
  spdlog::debug("pass over all processes known={} us={}", enricher_->live_processes(),
                (Now() - now) / std::chrono::microseconds(1));
  AddProcessText(std::exchange(existing_, {}));
}

void Agent::Impl::ReadLedger() {
  const auto device = [this](const Event& event) {
    if (recorder_) recorder_->InterfaceCounters(std::get<InterfaceCountersEvent>(event));
    OnEvent(event);
  };
  if (auto read = source_->ReadLedger(sink_, device); !read) {
    if (const auto n = sweep_log_.Allow(); n > 0)
      spdlog::error("ledger times={} error={}", n, read.error().message);
  }
}

void Agent::Impl::Beat(BootTime now) {
  next_beat_ = now + setup_.config.heartbeat;
  Sweep(now);  // what passed is then on both sides of the coverage
  ReadLedger();
  links_ = source_->CheckLinks();
  ShipFacts();
  RecordBatch batch;
  batch.boot_id = boot_id_;
  batch.run_id = run_id_;
  batch.heartbeat = Heartbeat(now);
  batch.coverage = coverage_.Take(now);
  if (batch.coverage) last_coverage_ = batch.coverage;
  if (auto written =
          output_->Write(Lane::kEvidence, FrameKind::kBatch, batch, source_->ReadClock());
      !written) {
    spdlog::debug("heartbeat not written error={}", written.error().message);
  }
  SdNotify("WATCHDOG=1");
  WriteMetricsIfDue(now);
  PumpSender();
  if (settled_at_ && now >= *settled_at_) {
    settled_at_.reset();
    GiveBackStartup();
  }
}

// ---- The loop ----

int Agent::Impl::TimeoutMs(BootTime now) const {
  if (source_->poll_fd() < 0) return 0;  // a recording has always something
  BootTime due = std::min(next_sweep_, next_beat_);
  if (now < busy_until_) due = std::min(due, next_tick_);
  for (const auto& ship : ship_due_) {
    if (ship) due = std::min(due, *ship);
  }
  if (spool_output_ != nullptr && spool_output_->sync_due())
    due = std::min(due, *spool_output_->sync_due());
  const auto left =
      duration_cast<milliseconds>(due - now + milliseconds(1) - std::chrono::nanoseconds(1));
  return static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, 1000));
}

Result<Agent::Impl::Woken> Agent::Impl::Wait(int stop_fd) {
  const BootTime now = Now();
  std::array<pollfd, 14> fds{{{stop_fd, POLLIN, 0},
                              {source_->poll_fd(), POLLIN, 0},
                              {sender_ ? sender_->poll_fd() : -1, POLLIN, 0},
                              {hasher_ ? hasher_->poll_fd() : -1, POLLIN, 0},
                              {identity_->poll_fd(), POLLIN, 0},
                              {status_server_ ? status_server_->poll_fd() : -1, POLLIN, 0},
                              {packets_->samples_fd(), POLLIN, 0},
                              {packets_->parser_fd(), POLLIN, 0},
                              {packets_->answers_fd(), POLLIN, 0},
                              {logins_ ? logins_->poll_fd() : -1, POLLIN, 0},
                              {posture_ ? posture_->poll_fd() : -1, POLLIN, 0},
                              {snapshots_->answers_fd(), POLLIN, 0},
                              {setup_.reload_fd, POLLIN, 0},
                              {snapshots_->triggers_fd(), POLLIN, 0}}};
  if (poll(fds.data(), fds.size(), TimeoutMs(now)) < 0 && errno != EINTR) return ErrnoError("poll");
  if (fds[0].revents != 0) return Woken::kStop;
  if (fds[12].revents != 0) ReloadIfAsked();
  if (fds[2].revents != 0) PumpSender();
  if (fds[3].revents != 0) NoteUserEvents();
  if (fds[4].revents != 0) {
    identity_->ClearEvent();
    ShipFacts();
    snapshots_->KnowsHost(Host());
  }
  if (fds[8].revents != 0 || fds[11].revents != 0 || fds[13].revents != 0) PumpControl();
  if (fds[6].revents != 0 || fds[7].revents != 0) PumpParser();
  if (fds[5].revents != 0) status_server_->Serve([this] { return status(); });
  if (source_->poll_fd() < 0 || fds[1].revents != 0) {
    TRY_VOID(Capture());
  }
  if (fds[9].revents != 0) PumpLogins();
  if (fds[10].revents != 0) ShipPosture();
  return Woken::kWork;
}

// A recording is read faster than a collector takes it: wait for acks rather than drop the oldest.
void Agent::Impl::HoldBackReplay(int stop_fd) {
  if (!setup_.replay || !sender_) return;
  while (spool_->bytes() > setup_.config.spool.max_bytes / 2) {
    std::array<pollfd, 2> fds{{{stop_fd, POLLIN, 0}, {sender_->poll_fd(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), 100) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    PumpSender();
  }
}

Status Agent::Impl::Run(int stop_fd) {
  TRY_VOID(Begin());
  SdNotify("READY=1");
  while (!ended_) {
    auto woken = Wait(stop_fd);
    if (!woken) return std::move(woken).error();
    if (*woken == Woken::kStop) {
      const bool goes_down = !setup_.replay && HostGoesDown();
      SnapshotAtStop(goes_down, stop_fd);
      stop_reason_ = goes_down ? "shutdown" : "signal";
      break;
    }
    Assemble(Now());
    HoldBackReplay(stop_fd);
  }
  SdNotify("STOPPING=1");
  Finish();
  return Ok();
}

// Drains in pipeline order; what the collector does not take in time stays in the spool.
void Agent::Impl::Finish() {
  if (!ended_) {
    if (auto taken = Capture(); !taken)
      spdlog::warn("last records lost error={}", taken.error().message);
  }
  const BootTime now = Now();
  Beat(now);
  NoteUserEvents();
  aggregator_->Tick(now);
  aggregator_->FlushAll(now);
  Ship(Lane::kEvidence);
  Ship(Lane::kBulk);
  names_.Flush(now);
  ShipNames();
  if (logins_) logins_->Flush();
  PumpLogins();
  ShipLosses();
  if (recorder_) recorder_->Flush();
  if (spool_output_ != nullptr) spool_output_->SyncNow();
  if (self_check_) self_check_->Stop(stop_reason_);
  if (sender_) {
    PumpSender();
    sender_->Stop(setup_.config.sender.drain);
  }
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::Create(AgentSetup setup) {
  auto impl = std::make_unique<Impl>(std::move(setup));
  TRY_VOID(impl->Open());
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

Status Agent::Run(int stop_fd) { return impl_->Run(stop_fd); }
AgentStatus Agent::status() { return impl_->status(); }

}  // namespace culprit
