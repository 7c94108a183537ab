// SPDX-License-Identifier: Apache-2.0
// Opening a spool in whatever state it is, and moving it to a new stream.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "agent/spool/spool_impl.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxStateBytes = 1U << 20;
constexpr const char* kConversionFile = "conversion.tmp";

template <class T>
std::optional<T> ParsedFile(const std::string& path, Result<T> (*parse)(std::string_view)) {
  const auto text = ReadWholeFile(path, kMaxStateBytes);
  if (!text) return std::nullopt;
  auto value = parse(*text);
  if (!value) return std::nullopt;
  return std::move(*value);
}

bool Exists(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0;
}

}  // namespace

Status Spool::Impl::Start() {
  TRY_VOID(MakeDirectories(options_.directory, 0700));
  TRY(lock_, LockFile(PathOf("lock")));
  CorruptBin bin(options_.directory, options_.max_bytes / 16);
  TRY_VOID(ClearTemporaries(&bin));

  FoundLanes found;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    TRY(found[i], FindSegments(options_.directory, static_cast<Lane>(i), &bin));
  }
  const bool had_acked = Exists(PathOf("acked"));
  const auto acked = ParsedFile<SpoolAcked>(PathOf("acked"), ParseAcked);
  auto losses = ParsedFile<SpoolLosses>(PathOf("losses"), ParseLosses);
  TRY_VOID(ChooseStream(ReadWholeFile(PathOf("stream"), kMaxStateBytes), had_acked, found));
  TRY_VOID(Load(acked, losses ? std::move(losses) : SpoolLosses{}, &bin));
  if (acked && acked->stream == stream_.id && TailLost(*acked)) {
    const bool all_gone = found[0].empty() && found[1].empty();
    return BeginNewStream(all_gone ? "spool_lost" : "tail_lost");
  }
  // On a full disk the next Sync() tries again.
  if (ledger_.dirty()) static_cast<void>(SaveLosses());
  return Ok();
}

Status Spool::Impl::ClearTemporaries(CorruptBin* bin) {
  TRY(const auto names, ListDirectory(options_.directory));
  for (const std::string& name : names) {
    struct stat st {};
    if (lstat(PathOf(name).c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    if (name.ends_with(".tmp")) TRY_VOID(RemoveFile(PathOf(name)));
    if (name.ends_with(".corrupt")) bin->Charge(static_cast<std::uint64_t>(st.st_size));
  }
  return Ok();
}

// The stream file names the stream; without it the newest segment does; without both a new one begins.
Status Spool::Impl::ChooseStream(const Result<std::string>& text, bool had_acked,
                                 const FoundLanes& found) {
  const bool had_file = text.has_value() || text.error().code != Code::kNotFound;
  const bool any_segment = !found[0].empty() || !found[1].empty();
  const auto parsed = text ? ParseStream(*text) : Result<SpoolStream>(text.error());
  if (parsed && (any_segment || had_acked)) {
    stream_ = *parsed;
    reported_reason_ = "resumed";
    return Ok();
  }
  if (any_segment) {
    const auto& lane = found[0].empty() ? found[1] : found[0];
    stream_ = {lane.back().stream, Uuid{}, "resumed"};
  } else {
    stream_.previous = parsed ? parsed->id : Uuid{};
    stream_.id = Uuid::Random();
    stream_.reason = had_file || had_acked ? "spool_lost" : "new";
    // Before the stream file: a stream file alone would mean that the rest was lost.
    TRY_VOID(SaveAcked());
  }
  reported_reason_ = stream_.reason;
  return WriteFileAtomically(PathOf("stream"), FormatStream(stream_));
}

Status Spool::Impl::Load(const std::optional<SpoolAcked>& acked,
                         std::optional<SpoolLosses> saved_losses, CorruptBin* bin) {
  const bool acked_is_ours = acked && acked->stream == stream_.id;
  std::array<LaneScan, kLaneCount> scans;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const auto lane = static_cast<Lane>(i);
    TRY(auto found, FindSegments(options_.directory, lane, bin));
    for (const FoundSegment& segment : found) {
      lanes_[i].next_number = std::max(lanes_[i].next_number, segment.number + 1);
    }
    if (acked_is_ours) {
      lanes_[i].next_number = std::max(lanes_[i].next_number, acked->lanes[i].segment + 1);
    }
    TRY_VOID(DropForeign(lane, acked, &found, bin));
    const std::uint64_t expected_first = acked_is_ours ? acked->lanes[i].acked + 1 : 0;
    TRY(scans[i], ScanLane(options_.directory, lane, found, expected_first, bin));
  }
  if (saved_losses) ledger_.Restore(std::move(*saved_losses), scans[0].newest_loss_frame);
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    TRY_VOID(TakeScan(static_cast<Lane>(i), std::move(scans[i]),
                      acked_is_ours ? &acked->lanes[i] : nullptr));
  }
  // Until something is acked, the collector may not have heard why this stream began.
  if (log(Lane::kEvidence).acked_seq == 0 && log(Lane::kBulk).acked_seq == 0) {
    reported_reason_ = stream_.reason;
  }
  return Ok();
}

// Leaves the segments of our stream; those of the stream before it are moved over to ours if that was interrupted.
Status Spool::Impl::DropForeign(Lane lane, const std::optional<SpoolAcked>& acked,
                                std::vector<FoundSegment>* found, CorruptBin* bin) {
  const bool converting =
      stream_.previous != Uuid{} && (!acked || acked->stream == stream_.previous);
  const std::uint64_t acked_seq =
      acked && converting ? acked->lanes[static_cast<std::size_t>(lane)].acked : 0;
  ChainEnd end;
  std::vector<FoundSegment> ours;
  for (const FoundSegment& segment : *found) {
    if (segment.stream == stream_.id) {
      ours.push_back(segment);
      if (!converting) continue;
      TRY(const LaneScan scan, ScanLane(options_.directory, lane, {segment}, 0, bin));
      if (scan.newest_seq != 0) end = {scan.newest_seq, scan.newest_hash};
    } else if (converting && segment.stream == stream_.previous) {
      const ChainEnd before = end;
      const Result<bool> kept = ConvertSegment(lane, segment, acked_seq, &end);
      if (kept && *kept) ours.push_back(segment);
      if (kept) continue;
      // No room for a copy: the new stream has to go on without what was in it.
      end = before;
      foreign_.push_back({SpoolLoss::Cause::kWriteFailed, lane, 0, 0, 0, segment.file_bytes, 0, {},
                          "segment of the stream before: " + kept.error().message});
      TRY_VOID(RemoveFile(PathOf(kConversionFile)));
      TRY_VOID(RemoveFile(PathOf(segment.name)));
    } else {
      SpoolLoss loss;
      loss.cause = SpoolLoss::Cause::kCorrupt;
      loss.lane = lane;
      loss.bytes = segment.file_bytes;
      loss.detail = "segment of a foreign stream " + segment.stream.ToString();
      foreign_.push_back(std::move(loss));
      TRY_VOID(bin->MoveAway(segment.name));
    }
  }
  *found = std::move(ours);
  return Ok();
}

Result<bool> Spool::Impl::ConvertSegment(Lane lane, const FoundSegment& found,
                                         std::uint64_t acked_seq, ChainEnd* end) {
  const std::string temporary = PathOf(kConversionFile);
  TRY_VOID(RemoveFile(temporary));
  TRY(SegmentReader reader, SegmentReader::Open(PathOf(found.name), [](const ReadDamage&) {}));
  TRY(SegmentWriter writer,
      SegmentWriter::Create(temporary,
                            {LogKind::kSpool, stream_.id, found.number, ReadWallClock()}));
  bool any = false;
  for (;;) {
    TRY(auto frame, reader.Next());
    if (!frame) break;
    if (frame->header.seq <= acked_seq || frame->header.lane != lane) continue;
    frame->header.stream_id = stream_.id;
    frame->header.seq = end->seq + 1;
    frame->header.prev_hash = end->hash;
    frame->header_bytes = EncodeFrameHeader(frame->header);
    frame->hash = FrameHash(frame->header_bytes, frame->payload);
    TRY_VOID(writer.Append(*frame));
    *end = {frame->header.seq, frame->hash};
    any = true;
  }
  if (!any) {
    TRY_VOID(RemoveFile(temporary));
    TRY_VOID(RemoveFile(PathOf(found.name)));
    return false;
  }
  // One rename moves the segment from the old stream to the new one: no frame is ever in both.
  TRY_VOID(writer.Sync());
  TRY_VOID(RenameFile(temporary, PathOf(found.name)));
  TRY_VOID(SyncDirectory(options_.directory));
  return true;
}

Status Spool::Impl::TakeScan(Lane lane, LaneScan scan, const SpoolAcked::LaneEntry* acked) {
  LaneLog& lane_log = log(lane);
  for (const SpoolLoss& hole : scan.holes) ledger_.AddHole(hole);
  for (SpoolLoss& loss : foreign_) ledger_.Add(std::move(loss));
  foreign_.clear();
  lane_log.segments = std::move(scan.segments);
  lane_log.newest_seq = scan.newest_seq;
  lane_log.newest_hash = scan.newest_hash;
  if (acked != nullptr) {
    if (scan.newest_seq < acked->newest && acked->segment == 0) {  // the last segment was shed
      lane_log.newest_seq = acked->newest;
      lane_log.newest_hash = acked->newest_hash;
    }
    lane_log.acked_seq = std::min(acked->acked, lane_log.newest_seq);
  } else if (lane_log.newest_seq != 0) {
    // Without DIR/acked: what is on disk is sent again, and what is not there was acked or is in DIR/losses.
    lane_log.acked_seq = State(lane).oldest_seq - 1;
  }
  const auto dropped = [&](const SegmentInfo& info) {
    const SpoolSegment& segment = info.segment;
    return (lane_log.segments.size() > 1 && segment.last_seq <= lane_log.acked_seq) ||
           (info.frames != 0 && ledger_.WasShed(lane, segment.first_seq, segment.last_seq));
  };
  while (!lane_log.segments.empty() && dropped(lane_log.segments.front())) {
    TRY_VOID(RemoveFile(PathOf(lane, lane_log.segments.front().segment.number)));
    lane_log.segments.pop_front();
  }
  if (lane_log.segments.empty()) return Ok();
  const SegmentInfo& newest = lane_log.segments.back();
  if (newest.segment.bytes >= options_.segment_bytes) return Ok();
  TRY(lane_log.writer,
      SegmentWriter::OpenAt(PathOf(lane, newest.segment.number), newest.segment.bytes));
  return Ok();
}

// Whether the spool has less than DIR/acked says it had on disk.
bool Spool::Impl::TailLost(const SpoolAcked& acked) const {
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const SpoolAcked::LaneEntry& entry = acked.lanes[i];
    const LaneLog& lane_log = lanes_[i];
    const bool segment_gone =
        entry.segment != 0 &&
        (lane_log.segments.empty() || lane_log.segments.back().segment.number < entry.segment);
    if (segment_gone || lane_log.newest_seq < std::max(entry.newest, entry.acked)) return true;
  }
  return false;
}

Status Spool::Impl::BeginNewStream(std::string_view reason) {
  static_cast<void>(Sync());
  // On disk before the stream file: what of the old stream is carried over.
  TRY_VOID(SaveAcked());
  SpoolAcked acked;
  acked.stream = stream_.id;
  for (std::size_t i = 0; i < kLaneCount; ++i) acked.lanes[i].acked = lanes_[i].acked_seq;

  const SpoolStream next{Uuid::Random(), stream_.id, std::string(reason)};
  ledger_.EndStream(stream_.id);
  TRY_VOID(WriteFileAtomically(PathOf("stream"), FormatStream(next)));
  stream_ = next;
  for (LaneLog& lane_log : lanes_) {
    const std::uint64_t next_number = lane_log.next_number;
    lane_log = LaneLog{};
    lane_log.next_number = next_number;
  }
  CorruptBin bin(options_.directory, 0);
  TRY_VOID(Load(acked, std::nullopt, &bin));
  for (LaneLog& lane_log : lanes_) lane_log.acked_seq = 0;
  reported_reason_ = stream_.reason;
  static_cast<void>(SaveLosses());
  return SaveAcked();
}

}  // namespace culprit
