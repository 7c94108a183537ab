// SPDX-License-Identifier: Apache-2.0
// What comes beside the kernel's records: hashes of executables, logins, the state of SSH, what
// asks for snapshots.
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/agent_impl.h"
#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kFeedRows = 1000;        // enough for a frame
constexpr std::chrono::seconds kStopWait{60};  // of the 90 that the unit gives

// As a checkpoint keeps it. Threads of the kernel come and go for nothing.
std::vector<CheckpointProcess> LiveProcesses(Enricher& enricher) {
  std::vector<CheckpointProcess> live;
  enricher.ForEachProcess([&](const Process& process) {
    if (process.ended != BootTime{} || process.kernel_thread || !process.image) return;
    CheckpointProcess& one = live.emplace_back();
    one.pid = process.key.tgid.value();
    one.start_ns = ToNs(process.key.start);
    one.exec_id = static_cast<std::uint32_t>(process.key.exec_id);
    one.parent_pid = process.parent_key.tgid.value();
    one.uid = process.uid.value();
    one.euid = process.euid.value();
    one.login_uid = process.login_uid.value();
    one.session_id = process.session_id;
    one.comm = process.comm;
    one.exe = process.image->exe;
    one.deleted = process.image->exe_deleted;
    one.memfd = process.image->exe_memfd;
    if (process.image->exe_sha256) one.sha256 = HexEncode(AsBytes(*process.image->exe_sha256));
  });
  return live;
}

}  // namespace

// What user space adds: hashes of executables, a better identity.
void Agent::Impl::NoteUserEvents() {
  if (hasher_) {
    for (const ExeHashEvent& event : hasher_->Take()) {
      if (recorder_) recorder_->ExeHash(event);
      OnEvent(event);
    }
  }
  if (identity_) identity_->ClearEvent();
}

void Agent::Impl::NoteHashLosses(BootTime now) {
  if (!hasher_) return;
  const ExeHasherStats stats = hasher_->stats();
  const std::pair<std::string_view, std::uint64_t> sources[] = {
      {"fanotify queue", stats.fanotify_overflows},
      {"requests", stats.requests_dropped},
      {"results", stats.results_dropped},
  };
  for (const auto& [source, count] : sources) {
    if (count > 0) aggregator_->OnLoss(LossCause::kHashQueue, source, count, now);
  }
}

void Agent::Impl::CheckpointIfDue(BootTime now) {
  if (!setup_.replay) snapshots_->Checkpoint(now, [this] { return LiveProcesses(*enricher_); });
}

// What the logs say by now; logins, failures and sessions that are ready go out.
void Agent::Impl::PumpLogins() {
  if (!logins_) return;
  const ClockPair clock = source_->ReadClock();
  logins_->Pump(clock);
  while (logins_->pending() > 0) {
    RecordBatch batch;
    batch.boot_id = boot_id_;
    batch.run_id = run_id_;
    logins_->Take(&batch, kFeedRows);
    if (!output_->Write(Lane::kEvidence, FrameKind::kBatch, batch, clock)) return;
  }
}

// What is told about SSH; the processes behind it are defined first.
void Agent::Impl::ShipPosture() {
  if (!posture_) return;
  if (posture_->Take() && !Capture()) return;  // the loop's next read says why
  posture_->Attribute(Now());
  RecordBatch batch;
  batch.boot_id = boot_id_;
  batch.run_id = run_id_;
  if (!posture_->Fill(&batch)) return;
  Ship(Lane::kEvidence);
  if (output_->Write(Lane::kEvidence, FrameKind::kBatch, batch, source_->ReadClock()))
    posture_->Sent();
}

// What the collector asks for, and the answers. Without a sender there is nobody to answer.
void Agent::Impl::PumpControl() {
  if (sender_) {
    for (ControlQuestion& question : sender_->TakeRequests()) {
      if (const auto* watch = std::get_if<SnapshotWatch>(&question)) {
        snapshots_->Watch(*watch);
        continue;
      }
      auto* packets = std::get_if<PacketFetch>(&question);
      const auto refusal =
          packets != nullptr
              ? packets_->Ask(std::move(*packets))
              : snapshots_->Ask(std::move(std::get<SnapshotFetch>(question)), Host());
      if (refusal) sender_->Answer(*refusal);
    }
  }
  for (const ControlAnswer& answer : packets_->TakeAnswers()) {
    if (sender_) sender_->Answer(answer);
  }
  for (const ControlAnswer& answer : snapshots_->TakeAnswers()) {
    if (sender_) sender_->Answer(answer);
  }
  snapshots_->PumpTriggers([this] { return Host(); }, Connected());
}

bool Agent::Impl::Connected() const { return sender_ && sender_->status().connected; }

// The work goes on while the snapshot is taken and fetched; another signal ends it.
void Agent::Impl::SnapshotAtStop(bool host_goes_down, int stop_fd) {
  if (setup_.replay || !snapshots_->BeginAtStop(host_goes_down, Host())) return;
  signalfd_siginfo taken{};
  if (read(stop_fd, &taken, sizeof(taken)) < 0) return;
  const auto until = std::chrono::steady_clock::now() + kStopWait;
  while (snapshots_->Unfinished(Connected()) && std::chrono::steady_clock::now() < until) {
    const auto woken = Wait(stop_fd);
    if (!woken || *woken == Woken::kStop) return;
    Assemble(Now());
  }
}

// Whoever removes the spool removes what is not sent yet, and nothing that comes after.
void Agent::Impl::RestoreSpool() {
  if (!spool_) return;
  const std::uint32_t before = spool_->files_removed();
  const Status restored = spool_->RestoreRemoved();
  if (!restored) {
    if (const auto n = spool_log_.Allow(); n > 0)
      spdlog::error("spool times={} error={}", n, restored.error().message);
  }
  if (spool_->files_removed() != before) {
    spdlog::warn("files of the spool were removed under the agent files={}; it goes on",
                 spool_->files_removed() - before);
  }
}

}  // namespace culprit
