// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/lane_reader.h"

#include <algorithm>

namespace culprit {

void LaneReader::Restart(std::uint64_t seq) {
  next_seq_ = std::max<std::uint64_t>(seq, 1);
  reader_.reset();
}

Result<std::optional<Frame>> LaneReader::Next() {
  for (;;) {
    if (!reader_) {
      TRY(const bool opened, OpenNext());
      if (!opened) return std::optional<Frame>();
    }
    TRY(std::optional<Frame> frame, reader_->Next());
    if (frame) {
      if (frame->header.stream_id != stream_ || frame->header.seq < next_seq_) continue;
      next_seq_ = frame->header.seq + 1;
      return frame;
    }
    if (closed_) {
      // What the segment should still have held can not be read.
      next_seq_ = std::max(next_seq_, last_seq_ + 1);
      reader_.reset();
      continue;
    }
    // The end of a segment that was growing when it was opened: has another one begun?
    const std::uint64_t number = number_;
    TRY(const bool there, OpenNext());
    if (!there || (number_ == number && !closed_)) return std::optional<Frame>();
  }
}

// False if nothing is there yet; then an open reader stays as it is.
Result<bool> LaneReader::OpenNext() {
  Result<OpenedSegment> segment = source_(next_seq_);
  if (!segment) {
    if (segment.error().code == Code::kNotFound) return false;
    return std::move(segment).error();
  }
  const std::uint64_t behind = reader_ && number_ == segment->number ? reader_->offset() : 0;
  TRY(SegmentReader reader, SegmentReader::Open(std::move(segment->fd), [](const ReadDamage&) {}));
  if (behind != 0) TRY_VOID(reader.Seek(behind));
  reader_.emplace(std::move(reader));
  number_ = segment->number;
  last_seq_ = segment->last_seq;
  closed_ = segment->closed;
  next_seq_ = std::max(next_seq_, segment->first_seq);
  return true;
}

}  // namespace culprit
