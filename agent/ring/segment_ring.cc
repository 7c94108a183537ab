// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/segment_ring.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/file.h"

namespace culprit {
namespace {

constexpr mode_t kDirectoryMode = 0700, kFileMode = 0600;
constexpr std::uint64_t kStatisticsBytes = 128;  // of one block at the end of a segment
constexpr std::uint64_t kIndexGrowth = 128;      // by one packet
constexpr int kMaxEvictionsPerFlush = 64;        // of a disk that others fill; more at the next

std::uint64_t SizeOf(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 ? static_cast<std::uint64_t>(st.st_size) : 0;
}

// Not synced: an index that a power cut spoils does not check out, and is made again.
Status WriteIndex(const std::string& path, const SegmentIndex& index) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!fd) return ErrnoError("create " + path);
  Status written = WriteAll(fd.get(), index.Encode());
  if (!written) static_cast<void>(RemoveFile(path));
  return written;
}

Result<SegmentIndex> ReadIndex(const std::string& path) {
  TRY(const std::string bytes, ReadWholeFile(path, kMaxIndexBytes));
  return SegmentIndex::Parse(bytes);
}

}  // namespace

SegmentRing::SegmentRing(SegmentRingOptions options, ProcessLookup processes)
    : options_(std::move(options)), processes_(std::move(processes)) {}

SegmentRing::~SegmentRing() { Finish(); }

Result<std::unique_ptr<SegmentRing>> SegmentRing::Open(const SegmentRingOptions& options,
                                                       ProcessLookup processes) {
  if (options.segment_bytes < kMinSegmentBytes || options.max_bytes < 2 * options.segment_bytes) {
    return InvalidArgument("packet ring " + options.directory +
                           ": needs room for two segments of 256 KiB or more");
  }
  std::unique_ptr<SegmentRing> ring(new SegmentRing(options, std::move(processes)));
  TRY_VOID(MakeDirectories(options.directory, kDirectoryMode));
  TRY(ring->lock_, LockFile(options.directory + "/lock"));
  TRY_VOID(ring->Recover());
  return ring;
}

std::string SegmentRing::Path(std::uint64_t number, SegmentFileKind kind) const {
  return options_.directory + "/" + FormatSegmentName(number, kind);
}

Status SegmentRing::Recover() {
  TRY(const SegmentListing listing, ListSegments(options_.directory));
  for (const std::uint64_t number : listing.indexes) {
    if (!std::binary_search(listing.closed.begin(), listing.closed.end(), number)) {
      TRY_VOID(RemoveFile(Path(number, SegmentFileKind::kIndex)));
    }
  }
  for (const std::uint64_t number : listing.closed) TRY_VOID(Adopt(number));
  for (const std::uint64_t number : listing.open) TRY_VOID(CloseLeftOpen(number));
  std::sort(closed_.begin(), closed_.end(),
            [](const ClosedSegment& a, const ClosedSegment& b) { return a.number < b.number; });
  next_number_ = options_.first_number;
  for (const auto* list : {&listing.open, &listing.closed}) {
    if (!list->empty()) next_number_ = std::max(next_number_, list->back() + 1);
  }
  while (closed_bytes_ > options_.max_bytes && EvictOldest()) ++stats_.evicted_segments;
  return Ok();
}

// A segment that is closed, with or without its index.
Status SegmentRing::Adopt(std::uint64_t number) {
  const std::string path = Path(number, SegmentFileKind::kClosed);
  const std::string index_path = Path(number, SegmentFileKind::kIndex);
  auto index = ReadIndex(index_path);
  if (!index) {
    TRY(ScannedSegment scanned, ScanSegment(path));
    static_cast<void>(WriteIndex(index_path, scanned.index));  // a full disk; queries do without
    index = std::move(scanned.index);
  }
  closed_.push_back({number, SizeOf(path) + SizeOf(index_path), index->first_ns(), index->last_ns(),
                     index->packets()});
  closed_bytes_ += closed_.back().bytes;
  return Ok();
}

Status SegmentRing::CloseLeftOpen(std::uint64_t number) {
  const std::string path = Path(number, SegmentFileKind::kOpen);
  TRY(const ScannedSegment scanned, ScanSegment(path));
  if (scanned.index.packets() == 0) return RemoveFile(path);
  if (truncate(path.c_str(), static_cast<off_t>(scanned.whole_bytes)) != 0) {
    return ErrnoError("cut " + path);
  }
  TRY_VOID(RenameFile(path, Path(number, SegmentFileKind::kClosed)));
  return Adopt(number);
}

// False: nothing left, or it cannot be removed.
bool SegmentRing::EvictOldest() {
  if (closed_.empty()) return false;
  const ClosedSegment oldest = closed_.front();
  for (const auto kind : {SegmentFileKind::kClosed, SegmentFileKind::kIndex}) {
    if (const Status removed = RemoveFile(Path(oldest.number, kind)); !removed) {
      stats_.degraded = removed.error().message;
      return false;
    }
  }
  closed_bytes_ -= oldest.bytes;
  closed_.pop_front();
  return true;
}

bool SegmentRing::EnsureOpen() {
  if (open_) return true;
  if (resting_) return false;
  while (closed_bytes_ + options_.segment_bytes > options_.max_bytes) {
    if (!EvictOldest()) return false;
    ++stats_.evicted_segments;
  }
  const std::string path = Path(next_number_, SegmentFileKind::kOpen);
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, kFileMode));
  if (!fd) {
    Rest(ErrnoError("create " + path).message);
    return false;
  }
  open_.emplace();
  open_->number = next_number_++;
  open_->fd = std::move(fd);
  AppendPcapngSection(options_.section, &open_->buffer);
  return true;
}

// What is still to come behind the packets of a segment.
std::uint64_t SegmentRing::TailBytes() const {
  return open_->index.EncodedBytes() + kIndexGrowth +
         (open_->interfaces.size() + 1) * kStatisticsBytes;
}

// The packet, behind what a reader must know of it first. False, and nothing is added: there is no
// room left in the segment.
bool SegmentRing::Append(const SegmentPacket& packet) {
  OpenSegment& open = *open_;
  const std::size_t before = open.buffer.size();
  const auto known = open.interfaces.find(packet.interface->id);
  const bool new_interface = known == open.interfaces.end();
  if (new_interface) AppendPcapngInterface(packet.interface->description, &open.buffer);
  const bool undefined =
      packet.names.process != ProcessId{} && !open.processes.contains(packet.names.process);
  const PcapngProcess* process = undefined ? processes_(packet.names.process) : nullptr;
  if (process != nullptr) AppendPcapngProcess(*process, &open.buffer);
  PcapngPacket block;
  block.interface =
      new_interface ? static_cast<std::uint32_t>(open.interfaces.size()) : known->second;
  block.wall_ns = packet.packet.wall_ns;
  block.wire_bytes = packet.packet.wire_bytes;
  block.bytes = packet.packet.bytes;
  block.direction = packet.packet.direction;
  block.comment = packet.names.comment;
  block.process = packet.names.process;
  block.flow = packet.names.flow;
  AppendPcapngPacket(block, &open.buffer);
  if (open.bytes() + TailBytes() > options_.segment_bytes) {
    open.buffer.resize(before);
    return false;
  }
  if (new_interface) {
    open.interfaces.emplace(packet.interface->id, block.interface);
    open.index.AddInterface(packet.interface->description.name);
  }
  if (process != nullptr) open.processes.insert(packet.names.process);
  Count(packet);
  return true;
}

void SegmentRing::Write(const SegmentPacket& packet) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!EnsureOpen()) break;
    if (Append(packet)) return;
    Finish();
  }
  ++stats_.lost_packets;
}

// What Append() has put into the buffer.
void SegmentRing::Count(const SegmentPacket& packet) {
  ++open_->buffered_packets;
  SegmentIndex& index = open_->index;
  index.AddPacket(packet.packet.wall_ns, packet.names.flow, packet.names.process);
  for (const auto* address : {&packet.source, &packet.destination}) {
    if (*address) index.AddAddress(**address);
  }
  if (open_->buffer.size() >= options_.buffer_bytes) WriteBuffer();
}

// Evicts for room if it must. False: what was in the buffer is lost, and the segment closed.
bool SegmentRing::WriteBuffer() {
  for (;;) {
    const Status written = WriteAll(open_->fd.get(), open_->buffer);
    if (written) {
      open_->written_bytes += open_->buffer.size();
      stats_.packets += open_->buffered_packets;
      open_->buffered_packets = 0;
      open_->buffer.clear();
      return true;
    }
    // Part of it may be there: readers must not meet half a block for longer than this.
    const bool cut = ftruncate(open_->fd.get(), static_cast<off_t>(open_->written_bytes)) == 0;
    if (cut && written.error().code == Code::kResourceExhausted && EvictOldest()) {
      ++stats_.shrunk_segments;
      Shrunk();
      continue;
    }
    stats_.lost_packets += open_->buffered_packets;
    Rest(written.error().message);
    Close();
    return false;
  }
}

void SegmentRing::Shrunk() {
  stats_.degraded = "disk full: packet ring " + options_.directory + " shrunk to " +
                    std::to_string(closed_.size() + (open_ ? 1 : 0)) + " segments";
}

void SegmentRing::Rest(const std::string& reason) {
  resting_ = true;
  stats_.degraded = "packet ring " + options_.directory + " rests: " + reason;
}

void SegmentRing::AppendStatistics() {
  for (const auto& [id, number] : open_->interfaces) {
    const auto found = statistics_.find(id);
    if (found == statistics_.end()) continue;
    PcapngStatistics statistics = found->second;
    statistics.interface = number;
    AppendPcapngStatistics(statistics, &open_->buffer);
  }
}

void SegmentRing::Finish() {
  if (!open_) return;
  AppendStatistics();
  if (WriteBuffer()) Close();
}

// With what is on disk of it.
void SegmentRing::Close() {
  OpenSegment segment = std::move(*open_);
  open_.reset();
  statistics_.clear();  // told again for the next; interfaces come and go
  segment.fd.Reset();
  const std::string path = Path(segment.number, SegmentFileKind::kOpen);
  const std::string index_path = Path(segment.number, SegmentFileKind::kIndex);
  if (segment.written_bytes == 0 || segment.index.packets() == 0) {
    static_cast<void>(RemoveFile(path));
    return;
  }
  // Without its index a segment is searched as a whole.
  static_cast<void>(WriteIndex(index_path, segment.index));
  if (!RenameFile(path, Path(segment.number, SegmentFileKind::kClosed))) {
    static_cast<void>(RemoveFile(path));  // nobody would count it in the bound
    static_cast<void>(RemoveFile(index_path));
    stats_.lost_packets += segment.index.packets();
    return;
  }
  closed_.push_back({segment.number, segment.written_bytes + SizeOf(index_path),
                     segment.index.first_ns(), segment.index.last_ns(), segment.index.packets()});
  closed_bytes_ += closed_.back().bytes;
}

void SegmentRing::KeepDiskFree() {
  const auto free_bytes = [this]() -> std::uint64_t {
    const auto free = FreeDiskBytes(options_.directory);
    return free ? *free : 0;
  };
  std::uint64_t free = free_bytes();
  for (int i = 0; free < options_.min_free_bytes && i < kMaxEvictionsPerFlush; ++i) {
    if (!EvictOldest()) break;
    ++stats_.shrunk_segments;
    Shrunk();
    free = free_bytes();
  }
  if (free < options_.min_free_bytes) {
    Finish();
    return Rest("less than " + std::to_string(options_.min_free_bytes) + " bytes free");
  }
  if (resting_ && free >= options_.min_free_bytes + 2 * options_.buffer_bytes) {
    resting_ = false;
    Shrunk();
  }
  if (free >= options_.min_free_bytes + 2 * options_.segment_bytes) stats_.degraded.clear();
}

void SegmentRing::Flush() {
  if (open_) WriteBuffer();
  KeepDiskFree();
}

void SegmentRing::SetStatistics(std::uint32_t interface_id, const PcapngStatistics& statistics) {
  statistics_[interface_id] = statistics;
}

void SegmentRing::Rotate() { Finish(); }

std::vector<ClosedSegment> SegmentRing::Closed(std::int64_t from_ns, std::int64_t to_ns) const {
  std::vector<ClosedSegment> found;
  std::copy_if(closed_.begin(), closed_.end(), std::back_inserter(found),
               [&](const ClosedSegment& segment) {
                 return segment.first_ns <= to_ns && segment.last_ns >= from_ns;
               });
  return found;
}

SegmentRingStats SegmentRing::stats() const {
  SegmentRingStats stats = stats_;
  stats.bytes = closed_bytes_ + (open_ ? open_->written_bytes : 0);
  stats.segments = closed_.size() + (open_ ? 1 : 0);
  if (!closed_.empty()) {
    stats.oldest_ns = closed_.front().first_ns;
  } else if (open_) {
    stats.oldest_ns = open_->index.first_ns();
  }
  return stats;
}

}  // namespace culprit
