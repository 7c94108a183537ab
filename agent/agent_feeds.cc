// SPDX-License-Identifier: Apache-2.0
// What comes beside the kernel's records: hashes of executables, logins, and the state of SSH.
#include "agent/agent_impl.h"

namespace culprit {
namespace {

constexpr std::size_t kFeedRows = 1000;  // enough for a frame

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
  posture_->Take();
  if (!Capture()) return;  // the loop's next read says why
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
      auto* packets = std::get_if<PacketFetch>(&question);
      const auto refusal = packets != nullptr
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
