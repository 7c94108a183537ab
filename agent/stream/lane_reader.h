// SPDX-License-Identifier: Apache-2.0
// Reads one lane of the spool in order, segment by segment, on demand: no frame is kept.
//
// Stage: stream (edge: files), in the sender process. Thread: one. Corrupt bytes are passed over;
// the sensor declares them.
#ifndef CULPRIT_AGENT_STREAM_LANE_READER_H_
#define CULPRIT_AGENT_STREAM_LANE_READER_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "agent/stream/sensor_port.h"
#include "common/frame.h"
#include "common/framed_log.h"
#include "common/result.h"

namespace culprit {

class LaneReader {
 public:
  // Gives the segment that holds frame `seq`, or the one after it. Errors: kNotFound if there is
  // none yet.
  using Source = std::function<Result<OpenedSegment>(std::uint64_t seq)>;

  LaneReader(const Uuid& stream, Source source) : stream_(stream), source_(std::move(source)) {}

  // The next frame will be `seq`, or the first behind it that exists.
  void Restart(std::uint64_t seq);
  // nullopt: nothing at or behind next_seq() can be read now.
  Result<std::optional<Frame>> Next();
  std::uint64_t next_seq() const { return next_seq_; }

 private:
  Result<bool> OpenNext();

  Uuid stream_;
  Source source_;
  std::uint64_t next_seq_ = 1;
  std::optional<SegmentReader> reader_;
  std::uint64_t number_ = 0, last_seq_ = 0;
  bool closed_ = false;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_LANE_READER_H_
