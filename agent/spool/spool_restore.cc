// SPDX-License-Identifier: Apache-2.0
// A spool whose files are removed under it: what is still open is written again, the rest is
// declared by what is remembered of it. Stream and chain go on, so that the collector sees what
// went as a hole with its range and hash.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/spool/spool_impl.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr const char* kRemoved = "removed under the agent";

// Whether another file, or none, is where `fd` was opened.
bool GoneFrom(const std::string& path, int fd) {
  struct stat open_file {
  }, there{};
  if (fstat(fd, &open_file) != 0) return true;
  return lstat(path.c_str(), &there) != 0 || there.st_ino != open_file.st_ino ||
         there.st_dev != open_file.st_dev;
}

bool NothingAt(const std::string& path) {
  struct stat there {};
  return lstat(path.c_str(), &there) != 0 && errno == ENOENT;
}

// The first `bytes` of a file that has no name any more, under `path`.
Status CopyOut(int fd, std::uint64_t bytes, const std::string& path) {
  const std::string temporary = path + ".tmp";
  UniqueFd out(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!out) return ErrnoError("create " + temporary);
  std::array<char, std::size_t{32} << 10> chunk;
  Status copied;
  for (std::uint64_t at = 0; copied && at < bytes;) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), bytes - at));
    const ssize_t n = pread(fd, chunk.data(), want, static_cast<off_t>(at));
    if (n <= 0) {
      copied =
          n < 0 ? Status(ErrnoError("read the removed segment")) : Status(DataLoss("cut short"));
    } else {
      copied = WriteAll(out.get(), {chunk.data(), static_cast<std::size_t>(n)});
      at += static_cast<std::uint64_t>(n);
    }
  }
  if (copied && fsync(out.get()) != 0) copied = ErrnoError("fsync " + temporary);
  if (copied) copied = RenameFile(temporary, path);
  if (!copied) static_cast<void>(RemoveFile(temporary));
  return copied;
}

}  // namespace

bool Spool::Impl::WriterLostItsFile(Lane lane) const {
  const LaneLog& lane_log = log(lane);
  return lane_log.writer &&
         GoneFrom(PathOf(lane, lane_log.segments.back().segment.number), lane_log.writer->fd());
}

std::uint32_t Spool::Impl::CountRemoved() const {
  std::uint32_t removed = 0;
  for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) {
    const bool open_one = WriterLostItsFile(lane);
    removed += open_one ? 1U : 0U;
    for (const SegmentInfo& info : log(lane).segments) {
      const bool is_open = open_one && &info == &log(lane).segments.back();
      removed += !is_open && NothingAt(PathOf(lane, info.segment.number)) ? 1U : 0U;
    }
  }
  return removed;
}

Status Spool::Impl::RestoreRemoved() {
  const bool unlocked = GoneFrom(PathOf("lock"), lock_.get());
  const std::uint32_t removed = CountRemoved();
  if (removed == 0 && !unlocked) return Ok();
  TRY_VOID(MakeDirectories(options_.directory, 0700));
  if (unlocked) {
    TRY(lock_, LockFile(PathOf("lock")));
  }
  TRY_VOID(WriteFileAtomically(PathOf("stream"), FormatStream(stream_)));
  for (const Lane lane : {Lane::kEvidence, Lane::kBulk}) RestoreLane(lane);
  files_removed_ += removed;
  static_cast<void>(SyncDirectory(options_.directory));
  // As for any loss: what a full disk keeps from being noted is noted as soon as that works.
  static_cast<void>(SaveLosses());
  return SaveAcked();
}

void Spool::Impl::RestoreLane(Lane lane) {
  LaneLog& lane_log = log(lane);
  if (WriterLostItsFile(lane)) {
    const SpoolSegment& segment = lane_log.segments.back().segment;
    const Status copied =
        CopyOut(lane_log.writer->fd(), lane_log.writer->offset(), PathOf(lane, segment.number));
    static_cast<void>(copied);  // not there then, like the others
    // What follows goes into the next one: a reader may still hold the file that was removed.
    lane_log.writer.reset();
    lane_log.unsynced = false;
  }
  std::erase_if(lane_log.segments, [&](const SegmentInfo& info) {
    if (!NothingAt(PathOf(lane, info.segment.number))) return false;
    const std::uint64_t first = std::max(info.segment.first_seq, lane_log.acked_seq + 1);
    if (info.frames == 0 || info.segment.last_seq < first) return true;
    const bool whole = first == info.segment.first_seq;
    SpoolLoss loss;
    loss.cause = SpoolLoss::Cause::kCorrupt;
    loss.lane = lane;
    loss.first_seq = first;
    loss.last_seq = info.segment.last_seq;
    loss.frames = whole ? info.frames : info.segment.last_seq - first + 1;
    loss.records = whole ? info.records : 0;
    loss.bytes = whole ? info.segment.bytes - kSegmentHeaderBytes : 0;
    loss.end_hash = info.last_hash;
    loss.detail = kRemoved;
    ledger_.Add(std::move(loss));
    return true;
  });
}

}  // namespace culprit
