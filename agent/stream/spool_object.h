// SPDX-License-Identifier: Apache-2.0
// An object of the sink: frames of one lane, as they stand in the spool, in a segment file of
// common/framed_log.h. The same frames make the same bytes, so that what is sent again is no other
// object.
//
// Stage: stream. Pure. Thread: one. Bounded by its user: Fits().
#ifndef CULPRIT_AGENT_STREAM_SPOOL_OBJECT_H_
#define CULPRIT_AGENT_STREAM_SPOOL_OBJECT_H_

#include <cstdint>
#include <string>

#include "common/frame.h"
#include "common/framed_log.h"

namespace culprit {

class SpoolObject {
 public:
  bool empty() const { return frames_ == 0; }
  std::uint64_t first_seq() const { return first_seq_; }
  std::uint64_t last_seq() const { return last_seq_; }
  std::uint64_t frames() const { return frames_; }
  const Sha256Digest& last_hash() const { return last_hash_; }
  const std::string& bytes() const { return bytes_; }

  // Whether it stays within `most` with the frame. An empty one takes any.
  bool Fits(const Frame& frame, std::uint64_t most) const {
    return empty() || bytes_.size() + kRecordOverheadBytes + frame.payload.size() <= most;
  }
  // Frames of one stream and lane, in order.
  void Add(const Frame& frame) {
    if (empty()) {
      first_seq_ = frame.header.seq;
      bytes_ = EncodeSegmentHeader(
          {LogKind::kSpool, frame.header.stream_id, frame.header.seq, frame.header.clock.wall});
    }
    bytes_ += EncodeRecord(frame);
    last_seq_ = frame.header.seq;
    last_hash_ = frame.hash;
    ++frames_;
  }

 private:
  std::string bytes_;
  std::uint64_t first_seq_ = 0, last_seq_ = 0, frames_ = 0;
  Sha256Digest last_hash_{};
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_SPOOL_OBJECT_H_
