// SPDX-License-Identifier: Apache-2.0
#include "agent/source/replay_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace culprit {
namespace {
constexpr std::size_t kReadBytes = 256U << 10;
constexpr int kMaxEntriesAPoll =
    2048;  // so that the caller's timers and descriptors are never starved
}  // namespace

Result<std::unique_ptr<ReplaySource>> ReplaySource::Open(const std::string& path,
                                                         UserEventSink user_events) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open the recording " + path);
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return ErrnoError("open the recording " + path);
  if (!S_ISREG(st.st_mode)) return InvalidArgument(path + " is not a regular file");
  std::unique_ptr<ReplaySource> source(new ReplaySource(std::move(fd), std::move(user_events)));
  TRY_VOID(source->Fill(kRecordingHeaderBytes));
  auto header = DecodeRecordingHeader(source->buffer_);
  if (!header) return std::move(header).error().Context(path);
  source->header_ = *header;
  source->clock_ = header->clock;
  source->now_ = header->clock.boot;
  source->position_ = kRecordingHeaderBytes;
  return source;
}

Result<bool> ReplaySource::Fill(std::size_t bytes) {
  if (buffer_.size() - position_ >= bytes) return true;
  buffer_.erase(0, position_);
  position_ = 0;
  const std::size_t target = std::max(bytes, kReadBytes);
  while (buffer_.size() < target) {
    const std::size_t had = buffer_.size();
    buffer_.resize(target);
    const ssize_t n = read(fd_.get(), buffer_.data() + had, target - had);
    const int error = errno;
    buffer_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && error == EINTR) continue;
    if (n < 0) return ErrnoError("read the recording", error);
    if (n == 0) break;
  }
  return buffer_.size() >= bytes;
}

Status ReplaySource::Start(const RecordSink&) { return Ok(); }

Status ReplaySource::Sweep(const RecordSink&) { return Ok(); }

void ReplaySource::GiveUpRest() {
  stats_.damaged_entries += 1;
  stats_.damaged_bytes += buffer_.size() - position_;
  struct stat st {};
  const off_t at = lseek(fd_.get(), 0, SEEK_CUR);
  if (fstat(fd_.get(), &st) == 0 && at >= 0 && st.st_size > at) {
    stats_.damaged_bytes += static_cast<std::uint64_t>(st.st_size - at);
  }
  at_end_ = true;
}

Result<bool> ReplaySource::Poll(std::chrono::milliseconds, const RecordSink& sink) {
  sweep_ended_ = false;
  for (int i = 0; i < kMaxEntriesAPoll && !at_end_ && !sweep_ended_; ++i) {
    TRY(const bool has_head, Fill(kRecordingEntryHeadBytes));
    if (!has_head) {
      if (buffer_.size() > position_) GiveUpRest();
      at_end_ = true;
      break;
    }
    const std::string_view head_bytes(buffer_.data() + position_, kRecordingEntryHeadBytes);
    const RecordingEntryHead head = DecodeRecordingEntryHead(head_bytes);
    if (!head.plausible) {
      GiveUpRest();
      break;
    }
    const std::size_t whole = kRecordingEntryHeadBytes + head.length;
    TRY(const bool has_body, Fill(whole));
    if (!has_body) {
      GiveUpRest();
      break;
    }
    const std::string_view entry(buffer_.data() + position_, whole);
    const std::string_view body = entry.substr(kRecordingEntryHeadBytes);
    position_ += whole;
    if (!RecordingEntryIntact(entry, body)) {
      stats_.damaged_entries += 1;
      stats_.damaged_bytes += whole;
      continue;
    }
    stats_.entries += 1;
    Deliver(head.kind, body, sink);
  }
  return !at_end_;
}

template <class Decoded>
bool ReplaySource::DeliverUserEvent(Result<Decoded> event) {
  if (!event) return false;
  if (user_events_) user_events_(Event(std::move(*event)));
  return true;
}

void ReplaySource::Deliver(RecordingKind kind, std::string_view body, const RecordSink& sink) {
  switch (kind) {
    case RecordingKind::kKernelRecord: {
      culprit_header header{};
      if (body.size() >= sizeof(header)) {
        std::memcpy(&header, body.data(), sizeof(header));
        // A record cannot be far ahead of the recording's own clock: a flipped bit must not run the
        // timers away.
        const BootTime latest = clock_.boot + std::chrono::hours(1);
        if (header.boot_ns <= ToNs(latest)) now_ = std::max(now_, BootTimeFromNs(header.boot_ns));
      }
      sink(body);
      return;
    }
    case RecordingKind::kClock:
      if (auto clock = DecodeClock(body)) {
        clock_ = *clock;
        now_ = std::max(now_, clock->boot);
        return;
      }
      break;
    case RecordingKind::kExeHash:
      if (DeliverUserEvent(DecodeExeHash(body))) return;
      break;
    case RecordingKind::kProcessText:
      if (DeliverUserEvent(DecodeProcessText(body))) return;
      break;
    case RecordingKind::kInterfaceCounters:
      if (DeliverUserEvent(DecodeInterfaceCounters(body))) return;
      break;
    case RecordingKind::kResync:
      if (DeliverUserEvent(DecodeResync(body))) return;
      break;
    case RecordingKind::kSweepEnd:
      if (auto at = DecodeBootNs(body)) {
        now_ = std::max(now_, *at);
        sweep_ended_ = true;
        return;
      }
      break;
  }
  stats_.damaged_entries += 1;
  stats_.damaged_bytes += body.size();
}

ClockPair ReplaySource::ReadClock() { return {now_, clock_.ToWall(now_), clock_.sync}; }

SourceFidelity ReplaySource::fidelity() const {
  SourceFidelity fidelity;
  fidelity.owner_mode = header_.owner_mode;
  fidelity.source = "replay";
  return fidelity;
}

}  // namespace culprit
