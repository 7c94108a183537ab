// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool.h"

#include <algorithm>
#include <utility>

#include "agent/spool/spool_impl.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::uint64_t kSaveAckedEvery = 256;  // acked frames

}  // namespace

Spool::Impl::Impl(const SpoolOptions& options) : options_(options) {
  // The cap is kept by dropping whole segments: it must hold several.
  options_.segment_bytes = std::min(options_.segment_bytes, options_.max_bytes / 8);
}

Spool::Impl::~Impl() {
  if (!lock_) return;
  // Best effort: nothing here is needed for a correct start.
  static_cast<void>(Sync());
  static_cast<void>(SaveAcked());
  if (ledger_.dirty()) static_cast<void>(SaveLosses());
}

Result<FrameHeader> Spool::Impl::Append(Lane lane, FrameKind kind, const ClockPair& clock,
                                        std::uint32_t record_count, std::string_view inflated) {
  if (kind == FrameKind::kJournalEntry || (kind == FrameKind::kLoss && lane != Lane::kEvidence)) {
    return InvalidArgument("frame kind does not belong into this lane");
  }
  FrameHeader header;
  header.kind = kind;
  header.lane = lane;
  header.stream_id = stream_.id;
  header.seq = log(lane).newest_seq + 1;
  header.clock = clock;
  header.record_count = record_count;
  header.prev_hash = log(lane).newest_hash;
  TRY(const Frame frame, MakeFrame(header, inflated));
  MakeRoom(kRecordOverheadBytes + frame.payload.size());
  if (Status written = WriteFrame(lane, frame); !written) {
    write_failing_ = true;
    if (kind == FrameKind::kLoss) {
      ledger_.LossFrameFailed();
    } else {
      SpoolLoss loss{
          SpoolLoss::Cause::kWriteFailed, lane, 0, 0, 1, frame.payload.size(), record_count, {},
          written.error().message};
      ledger_.Add(std::move(loss));
    }
    return std::move(written).error().Context("spool");
  }
  write_failing_ = false;
  if (kind == FrameKind::kLoss) {
    ledger_.LossFrameWritten();
    static_cast<void>(SaveLosses());
  }
  return frame.header;
}

Status Spool::Impl::WriteFrame(Lane lane, const Frame& frame) {
  LaneLog& lane_log = log(lane);
  TRY_VOID(EnsureWriter(lane));
  if (Status written = lane_log.writer->Append(frame); !written) {
    // A full disk leaves the segment whole; after anything else it is not written to again.
    if (written.error().code != Code::kResourceExhausted) lane_log.writer.reset();
    return written;
  }
  SegmentInfo& info = lane_log.segments.back();
  if (info.segment.first_seq == 0) info.segment.first_seq = frame.header.seq;
  info.segment.last_seq = frame.header.seq;
  info.segment.bytes = lane_log.writer->offset();
  info.frames += 1;
  info.records += frame.header.record_count;
  info.last_hash = frame.hash;
  lane_log.newest_seq = frame.header.seq;
  lane_log.newest_hash = frame.hash;
  lane_log.unsynced = true;
  // A failing sync was the last segment's; the frame is written all the same.
  if (lane_log.writer->offset() >= options_.segment_bytes) static_cast<void>(CloseSegment(lane));
  return Ok();
}

Status Spool::Impl::EnsureWriter(Lane lane) {
  LaneLog& lane_log = log(lane);
  if (lane_log.writer) return Ok();
  const std::uint64_t number = lane_log.next_number;
  TRY(SegmentWriter writer,
      SegmentWriter::Create(PathOf(lane, number),
                            {LogKind::kSpool, stream_.id, number, ReadWallClock()}));
  lane_log.next_number += 1;
  SegmentInfo info;
  info.segment.lane = lane;
  info.segment.number = number;
  info.segment.bytes = writer.offset();
  lane_log.segments.push_back(info);
  lane_log.writer = std::move(writer);
  // So that a start can tell that this segment went missing. Without it (disk full) it only can not
  // tell.
  static_cast<void>(SaveAcked());
  return Ok();
}

Status Spool::Impl::SyncLane(Lane lane) {
  LaneLog& lane_log = log(lane);
  if (!lane_log.unsynced || !lane_log.writer) return Ok();
  lane_log.unsynced = false;
  Status synced = lane_log.writer->Sync();
  if (!synced) lane_log.writer.reset();
  return synced;
}

Status Spool::Impl::CloseSegment(Lane lane) {
  // Its bytes are gone with the descriptor.
  if (WriterLostItsFile(lane)) return RestoreRemoved();
  Status synced = SyncLane(lane);
  log(lane).writer.reset();
  return synced;
}

Status Spool::Impl::Sync() {
  Status first = SyncLane(Lane::kEvidence);
  Status second = SyncLane(Lane::kBulk);
  if (ledger_.dirty()) static_cast<void>(SaveLosses());
  if (!first) return std::move(first).error().Context("spool");
  if (!second) return std::move(second).error().Context("spool");
  const std::uint64_t acks = log(Lane::kEvidence).acked_seq + log(Lane::kBulk).acked_seq;
  if (acks >= saved_acks_ + kSaveAckedEvery) return SaveAcked();
  return Ok();
}

// Bulk before evidence, closed segments before the one that is being written.
void Spool::Impl::MakeRoom(std::uint64_t wanted) {
  while (TotalBytes() + wanted > options_.max_bytes) {
    if (!ShedOldest(Lane::kBulk, false) && !ShedOldest(Lane::kEvidence, false) &&
        !ShedOldest(Lane::kBulk, true) && !ShedOldest(Lane::kEvidence, true)) {
      return;
    }
  }
}

bool Spool::Impl::ShedOldest(Lane lane, bool also_open) {
  LaneLog& lane_log = log(lane);
  if (lane_log.segments.empty()) return false;
  const bool is_open = lane_log.segments.size() == 1 && lane_log.writer;
  if (is_open && (!also_open || lane_log.segments.front().frames == 0)) return false;
  if (is_open) static_cast<void>(CloseSegment(lane));
  if (lane_log.segments.empty())
    return true;  // it was removed under us, and could not be written again
  const SegmentInfo info = lane_log.segments.front();
  if (info.segment.last_seq > lane_log.acked_seq) ledger_.Add(LossOf(info, lane_log.acked_seq));
  lane_log.segments.pop_front();
  // What is dropped is on record before it goes, and so is the end of the chain. A full disk must
  // not keep us from making room: the ledger is written again as soon as that works.
  static_cast<void>(SaveLosses());
  static_cast<void>(SaveAcked());
  static_cast<void>(RemoveFile(PathOf(lane, info.segment.number)));
  return true;
}

SpoolLoss Spool::Impl::LossOf(const SegmentInfo& info, std::uint64_t acked_seq) const {
  SpoolLoss loss;
  loss.cause = SpoolLoss::Cause::kCap;
  loss.lane = info.segment.lane;
  loss.first_seq = std::max(info.segment.first_seq, acked_seq + 1);
  loss.last_seq = info.segment.last_seq;
  loss.frames = info.frames;
  loss.records = info.records;
  loss.bytes = info.segment.bytes - kSegmentHeaderBytes;
  loss.end_hash = info.last_hash;
  if (acked_seq < info.segment.first_seq) return loss;
  // Part of it is acked: count the rest.
  auto reader =
      SegmentReader::Open(PathOf(loss.lane, info.segment.number), [](const ReadDamage&) {});
  if (!reader) return loss;
  loss.frames = loss.records = loss.bytes = 0;
  for (auto frame = reader->Next(); frame && *frame; frame = reader->Next()) {
    if ((*frame)->header.seq <= acked_seq) continue;
    loss.frames += 1;
    loss.records += (*frame)->header.record_count;
    loss.bytes += kRecordOverheadBytes + (*frame)->payload.size();
  }
  return loss;
}

Status Spool::Impl::Acknowledge(Lane lane, std::uint64_t seq) {
  LaneLog& lane_log = log(lane);
  const bool ahead = seq > lane_log.newest_seq;
  const std::uint64_t acked = std::min(seq, lane_log.newest_seq);
  if (acked > lane_log.acked_seq) {
    lane_log.acked_seq = acked;
    ledger_.Forget(lane, acked);
    const auto trims = [&] {
      return lane_log.segments.size() > 1 && lane_log.segments.front().segment.last_seq <= acked;
    };
    if (trims()) TRY_VOID(SaveAcked());  // else a start would take the missing file for a loss
    while (trims()) {
      TRY_VOID(RemoveFile(PathOf(lane, lane_log.segments.front().segment.number)));
      lane_log.segments.pop_front();
    }
  }
  if (ahead) {
    return MakeError(Code::kOutOfRange, "collector has " + std::string(LaneName(lane)) + " frame " +
                                            std::to_string(seq) + ", the spool ends at " +
                                            std::to_string(lane_log.newest_seq));
  }
  return Ok();
}

Status Spool::Impl::SaveAcked() {
  static_cast<void>(SyncLane(Lane::kEvidence));
  static_cast<void>(SyncLane(Lane::kBulk));
  SpoolAcked acked;
  acked.stream = stream_.id;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const LaneLog& lane_log = lanes_[i];
    acked.lanes[i] = {lane_log.acked_seq, lane_log.newest_seq,
                      lane_log.segments.empty() ? 0 : lane_log.segments.back().segment.number,
                      lane_log.newest_hash};
  }
  TRY_VOID(WriteFileAtomically(PathOf("acked"), FormatAcked(acked)));
  saved_acks_ = log(Lane::kEvidence).acked_seq + log(Lane::kBulk).acked_seq;
  return Ok();
}

Status Spool::Impl::SaveLosses() {
  TRY_VOID(WriteFileAtomically(PathOf("losses"), FormatLosses(ledger_.losses())));
  ledger_.MarkSaved();
  return Ok();
}

std::optional<Sha256Digest> Spool::Impl::HashOf(Lane lane, std::uint64_t seq) const {
  const LaneLog& lane_log = log(lane);
  if (seq == lane_log.newest_seq) return lane_log.newest_hash;
  for (const SegmentInfo& info : lane_log.segments) {
    if (seq < info.segment.first_seq || seq > info.segment.last_seq) continue;
    auto reader = SegmentReader::Open(PathOf(lane, info.segment.number), [](const ReadDamage&) {});
    if (!reader) return std::nullopt;
    for (auto frame = reader->Next(); frame && *frame; frame = reader->Next()) {
      if ((*frame)->header.seq == seq) return (*frame)->hash;
    }
  }
  return std::nullopt;
}

void Spool::Impl::SetMaxBytes(std::uint64_t max_bytes) {
  options_.max_bytes = max_bytes;
  options_.segment_bytes = std::min(options_.segment_bytes, max_bytes / 8);
}

LaneState Spool::Impl::State(Lane lane) const {
  const LaneLog& lane_log = log(lane);
  LaneState state;
  state.newest_seq = lane_log.newest_seq;
  state.acked_seq = lane_log.acked_seq;
  state.newest_hash = lane_log.newest_hash;
  state.oldest_seq = lane_log.newest_seq + 1;
  for (const SegmentInfo& info : lane_log.segments) {
    if (info.frames == 0) continue;
    state.oldest_seq = info.segment.first_seq;
    break;
  }
  return state;
}

std::uint64_t Spool::Impl::TotalBytes() const {
  std::uint64_t bytes = 0;
  for (const LaneLog& lane_log : lanes_) {
    for (const SegmentInfo& info : lane_log.segments) bytes += info.segment.bytes;
  }
  return bytes;
}

std::vector<SpoolSegment> Spool::Impl::Segments(Lane lane) const {
  std::vector<SpoolSegment> segments;
  for (const SegmentInfo& info : log(lane).segments) segments.push_back(info.segment);
  return segments;
}

Result<UniqueFd> Spool::Impl::OpenSegment(Lane lane, std::uint64_t number) const {
  return OpenReadOnly(PathOf(lane, number));
}

std::vector<SpoolLoss> Spool::Impl::TakeLosses() {
  // While nothing can be written, neither can the frame that declares them.
  if (write_failing_ || !ledger_.has_pending()) return {};
  std::vector<SpoolLoss> taken = ledger_.Take(log(Lane::kEvidence).newest_seq);
  static_cast<void>(SaveLosses());
  return taken;
}

Spool::Spool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spool::~Spool() = default;

Result<std::unique_ptr<Spool>> Spool::Open(const SpoolOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  if (Status started = impl->Start(); !started) return std::move(started).error().Context("spool");
  return std::unique_ptr<Spool>(new Spool(std::move(impl)));
}

const Uuid& Spool::stream_id() const { return impl_->stream().id; }
const std::string& Spool::stream_reason() const { return impl_->reported_reason(); }
const Uuid& Spool::previous_stream_id() const { return impl_->stream().previous; }
Result<FrameHeader> Spool::Append(Lane lane, FrameKind kind, const ClockPair& clock,
                                  std::uint32_t record_count, std::string_view inflated) {
  return impl_->Append(lane, kind, clock, record_count, inflated);
}
Status Spool::RestoreRemoved() { return impl_->RestoreRemoved(); }
std::uint32_t Spool::files_removed() const { return impl_->files_removed(); }
Status Spool::Sync() { return impl_->Sync(); }
Status Spool::Acknowledge(Lane lane, std::uint64_t seq) { return impl_->Acknowledge(lane, seq); }
Status Spool::BeginNewStream(std::string_view reason) { return impl_->BeginNewStream(reason); }
std::optional<Sha256Digest> Spool::HashOf(Lane lane, std::uint64_t seq) const {
  return impl_->HashOf(lane, seq);
}
void Spool::SetMaxBytes(std::uint64_t max_bytes) { impl_->SetMaxBytes(max_bytes); }
LaneState Spool::lane(Lane lane) const { return impl_->State(lane); }
std::uint64_t Spool::bytes() const { return impl_->TotalBytes(); }
std::vector<SpoolSegment> Spool::segments(Lane lane) const { return impl_->Segments(lane); }
Result<UniqueFd> Spool::OpenSegment(Lane lane, std::uint64_t number) const {
  return impl_->OpenSegment(lane, number);
}
std::vector<SpoolLoss> Spool::TakeLosses() { return impl_->TakeLosses(); }

}  // namespace culprit
