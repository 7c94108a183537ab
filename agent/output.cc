// SPDX-License-Identifier: Apache-2.0
#include "agent/output.h"

#include <utility>

#include "common/log.h"

namespace culprit {
namespace {
constexpr std::chrono::milliseconds kSyncAfter(900);  // decisions allow a second
}  // namespace

Status SpoolOutput::Write(Lane lane, FrameKind kind, const RecordBatch& batch,
                          const ClockPair& clock) {
  auto header = spool_->Append(lane, kind, clock, batch.RecordCount(), writer_.Serialize(batch));
  if (!header) {
    Failed(header.error(), clock);
    return std::move(header).error();
  }
  ++frames_;
  if (!problem_.empty()) {
    spdlog::info("spool works again after={}", problem_);
    problem_.clear();
  }
  if (!sync_due_) sync_due_ = clock.boot + kSyncAfter;
  return Ok();
}

void SpoolOutput::Failed(const Error& error, const ClockPair& clock) {
  ++failed_frames_;
  if (problem_.empty()) {
    problem_ = (error.message.starts_with("spool") ? "" : "spool: ") + error.message + ", since " +
               FormatUtc(clock.wall);
    spdlog::error("spool cannot be written, evidence is counted as lost until it can error={}",
                  error.message);
  }
}

void SpoolOutput::SyncIfDue(BootTime now) {
  if (sync_due_ && now >= *sync_due_) SyncNow();
}

void SpoolOutput::SyncNow() {
  sync_due_.reset();
  if (auto synced = spool_->Sync(); !synced) Failed(synced.error(), ReadClockPair());
}

Result<std::unique_ptr<BatchOutput>> PrintOutput::ToFile(const std::string& path) {
  std::FILE* stream = std::fopen(path.c_str(), "we");
  if (stream == nullptr) return ErrnoError("create " + path);
  auto output = std::make_unique<PrintOutput>(stream);
  output->owned_ = true;
  return std::unique_ptr<BatchOutput>(std::move(output));
}

PrintOutput::~PrintOutput() {
  if (owned_) std::fclose(stream_);
}

Status PrintOutput::Write(Lane, FrameKind, const RecordBatch& batch, const ClockPair& clock) {
  lines_.clear();
  AppendBatchLines(batch, clock, &lines_);
  if (std::fwrite(lines_.data(), 1, lines_.size(), stream_) != lines_.size())
    return ErrnoError("write the records");
  return Ok();
}

LossFacts ToLossFacts(const SpoolLoss& loss, std::optional<LossCause> cause, BootTime at) {
  LossFacts facts;
  switch (loss.cause) {
    case SpoolLoss::Cause::kCap:
      facts.cause = LossCause::kSpoolCap;
      break;
    case SpoolLoss::Cause::kCorrupt:
      facts.cause = LossCause::kSpoolCorrupt;
      break;
    case SpoolLoss::Cause::kWriteFailed:
      facts.cause = LossCause::kSpoolWrite;
      break;
  }
  if (cause) facts.cause = *cause;
  facts.count = loss.frames;
  facts.bytes = loss.bytes;
  facts.lane_plus_one = static_cast<std::uint32_t>(loss.lane) + 1;
  facts.first_seq = loss.first_seq;
  facts.last_seq = loss.last_seq;
  if (loss.end_hash != Sha256Digest{}) facts.end_hash = loss.end_hash;
  facts.detail = loss.detail;
  facts.at = at;
  return facts;
}

}  // namespace culprit
