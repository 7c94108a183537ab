// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_recovery.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/file.h"

namespace culprit {
namespace {

constexpr std::uint64_t kMaxKeptDamage = 4ULL << 20;  // of one run of damaged bytes

// Reads one lane's segments in order and accounts for every seq and every damaged byte.
class LaneScanner {
 public:
  LaneScanner(const std::string& directory, Lane lane, std::uint64_t expected_first,
              CorruptBin* bin)
      : directory_(directory), lane_(lane), expected_(expected_first), bin_(bin) {}

  Status ReadSegment(const FoundSegment& found);
  LaneScan Finish();

 private:
  void TakeFrame(const Frame& frame, SegmentInfo* info);
  void AddHole(std::uint64_t first, std::uint64_t last, const Sha256Digest& end_hash,
               std::string detail);

  const std::string& directory_;
  Lane lane_;
  std::uint64_t expected_;
  CorruptBin* bin_;
  LaneScan scan_;
  std::uint64_t damaged_bytes_ = 0;  // since the last whole frame
  bool torn_ = false;
};

Status LaneScanner::ReadSegment(const FoundSegment& found) {
  const std::string path = directory_ + "/" + found.name;
  bool damaged_tail = false;
  TRY(SegmentReader reader, SegmentReader::Open(path, [&](const ReadDamage& damage) {
        bin_->Keep(found.name, damage);
        damaged_bytes_ += damage.bytes;
        torn_ = damage.torn_tail;
        damaged_tail = true;
      }));
  damaged_tail = false;
  if (reader.header_damaged()) damaged_bytes_ -= std::min<std::uint64_t>(damaged_bytes_, kSegmentHeaderBytes);
  SegmentInfo info;
  info.segment.lane = lane_;
  info.segment.number = found.number;
  std::uint64_t end = reader.offset();
  for (;;) {
    TRY(const auto frame, reader.Next());
    if (!frame) break;
    if (frame->header.seq <= scan_.newest_seq || frame->header.lane != lane_) {
      // Whole and yet out of place: a file that somebody copied here.
      if (info.frames == 0) return bin_->MoveAway(found.name);
      TRY(const std::uint64_t size, reader.FileBytes());
      bin_->Keep(found.name, {end, size - end, false});
      TRY_VOID(SegmentWriter::OpenAt(path, end));
      info.segment.bytes = end;
      scan_.segments.push_back(info);
      return Ok();
    }
    TakeFrame(*frame, &info);
    end = reader.offset();
  }
  damaged_tail = false;
  reader.Finish();
  if (damaged_tail) TRY_VOID(SegmentWriter::OpenAt(path, end));
  info.segment.bytes = end;
  if (info.frames == 0 && !scan_.segments.empty() && scan_.segments.back().frames == 0) {
    // Two without frames in a row: the older one carries nothing.
    TRY_VOID(RemoveFile(directory_ + "/" +
                        SpoolSegmentName(lane_, scan_.segments.back().segment.number)));
    scan_.segments.pop_back();
  }
  scan_.segments.push_back(info);
  return Ok();
}

void LaneScanner::TakeFrame(const Frame& frame, SegmentInfo* info) {
  const std::uint64_t seq = frame.header.seq;
  if (expected_ != 0 && seq > expected_) {
    AddHole(expected_, seq - 1, frame.header.prev_hash,
            damaged_bytes_ != 0 ? "damaged bytes" : "segment file missing");
  } else if (damaged_bytes_ != 0) {
    AddHole(0, 0, {}, "damaged bytes between whole frames");
  }
  expected_ = std::max(expected_, seq + 1);
  if (info->segment.first_seq == 0) info->segment.first_seq = seq;
  info->segment.last_seq = seq;
  info->last_hash = frame.hash;
  info->frames += 1;
  info->records += frame.header.record_count;
  scan_.newest_seq = seq;
  scan_.newest_hash = frame.hash;
  if (frame.header.kind == FrameKind::kLoss) scan_.newest_loss_frame = seq;
}

void LaneScanner::AddHole(std::uint64_t first, std::uint64_t last, const Sha256Digest& end_hash,
                          std::string detail) {
  SpoolLoss loss;
  loss.cause = SpoolLoss::Cause::kCorrupt;
  loss.lane = lane_;
  loss.first_seq = first;
  loss.last_seq = last;
  loss.frames = first == 0 ? 0 : last - first + 1;
  loss.bytes = std::exchange(damaged_bytes_, 0);
  loss.end_hash = end_hash;
  loss.detail = std::move(detail);
  scan_.holes.push_back(std::move(loss));
}

LaneScan LaneScanner::Finish() {
  if (damaged_bytes_ != 0) AddHole(0, 0, {}, torn_ ? "torn tail" : "damaged tail");
  return std::move(scan_);
}

}  // namespace

void CorruptBin::Keep(const std::string& name, const ReadDamage& damage) {
  const std::uint64_t bytes = std::min(damage.bytes, kMaxKeptDamage);
  if (bytes > left_) return;
  const std::string target = directory_ + "/" + name + ".corrupt";
  const auto from = OpenReadOnly(directory_ + "/" + name);
  if (!from) return;
  const UniqueFd to(open(target.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!to) return;
  // Damage in the middle is met again at every start; it was kept the first time.
  struct stat st {};
  if (fstat(to.get(), &st) != 0) return;
  if (st.st_size > 0 && !damage.torn_tail && !fresh_.contains(name)) return;
  fresh_.insert(name);
  std::string content(static_cast<std::size_t>(bytes), '\0');
  const ssize_t n =
      pread(from->get(), content.data(), content.size(), static_cast<off_t>(damage.offset));
  if (n <= 0) return;
  content.resize(static_cast<std::size_t>(n));
  if (WriteAll(to.get(), content)) Charge(content.size());
}

Status CorruptBin::MoveAway(const std::string& name) {
  const std::string path = directory_ + "/" + name;
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0) return ErrnoError("stat " + path);
  const auto size = static_cast<std::uint64_t>(st.st_size);
  if (size > left_) return RemoveFile(path);
  Charge(size);
  return RenameFile(path, path + ".corrupt");
}

Result<std::vector<FoundSegment>> FindSegments(const std::string& directory, Lane lane,
                                               CorruptBin* bin) {
  TRY(const auto names, ListDirectory(directory));
  std::vector<FoundSegment> segments;
  for (const std::string& name : names) {
    FoundSegment found;
    Lane lane_of_name{};
    if (!ParseSpoolSegmentName(name, &lane_of_name, &found.number) || lane_of_name != lane) {
      continue;
    }
    found.name = name;
    const std::string path = directory + "/" + name;
    struct stat st {};
    if (lstat(path.c_str(), &st) != 0) return ErrnoError("stat " + path);
    if (S_ISREG(st.st_mode) && st.st_size < static_cast<off_t>(kSegmentHeaderBytes)) {
      TRY_VOID(RemoveFile(path));  // died while it was created: holds no record
      continue;
    }
    found.file_bytes = static_cast<std::uint64_t>(st.st_size);
    const auto reader = S_ISREG(st.st_mode)
                            ? SegmentReader::Open(path, [](const ReadDamage&) {})
                            : Result<SegmentReader>(DataLoss("not a file"));
    const bool ours = reader && reader->header().kind == LogKind::kSpool &&
                      (!reader->header_damaged() || reader->header().log_id != Uuid{});
    if (!ours) {
      TRY_VOID(bin->MoveAway(name));
      continue;
    }
    found.stream = reader->header().log_id;
    segments.push_back(std::move(found));
  }
  return segments;
}

Result<LaneScan> ScanLane(const std::string& directory, Lane lane,
                          const std::vector<FoundSegment>& found, std::uint64_t expected_first,
                          CorruptBin* bin) {
  LaneScanner scanner(directory, lane, expected_first, bin);
  for (const FoundSegment& segment : found) TRY_VOID(scanner.ReadSegment(segment));
  return scanner.Finish();
}

}  // namespace culprit
