// SPDX-License-Identifier: Apache-2.0
// What is under way on one connection, and which frames the collector keeps refusing.
// Stage: stream. Pure. Thread: the caller locks. Bounded by kMaxFrames and kMaxBytes; holds no
// payload.
#ifndef CULPRIT_AGENT_STREAM_SEND_WINDOW_H_
#define CULPRIT_AGENT_STREAM_SEND_WINDOW_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "common/frame.h"

namespace culprit {

struct SentFrame {
  Lane lane = Lane::kEvidence;
  std::uint64_t seq = 0, bytes = 0, records = 0;
  Sha256Digest hash{};
};

class SendWindow {
 public:
  static constexpr std::uint32_t kMaxFrames = 256;
  static constexpr std::uint64_t kMaxBytes = 4ULL << 20;

  // A connection begins; the collector allows `max_frames` (0 = its limit is not known).
  void Reset(std::uint32_t max_frames) {
    frames_.clear();
    bytes_ = sent_ = 0;
    max_frames_ = max_frames == 0 ? kMaxFrames : std::min(max_frames, kMaxFrames);
  }
  // One frame may always be under way, however large.
  bool HasRoom() const {
    return frames_.empty() || (frames_.size() < max_frames_ && bytes_ < kMaxBytes);
  }
  bool empty() const { return frames_.empty(); }
  void Sent(const SentFrame& frame) {
    frames_.emplace_back(++sent_, frame);
    bytes_ += frame.bytes;
  }
  void Acked(Lane lane, std::uint64_t seq) {
    std::erase_if(frames_, [&](const auto& entry) {
      const bool gone = entry.second.lane == lane && entry.second.seq <= seq;
      if (gone) bytes_ -= entry.second.bytes;
      return gone;
    });
  }
  // The `index`-th frame of this connection (from 1), or where that is 0 the oldest; nullopt if it
  // was acked or never sent.
  std::optional<SentFrame> Refused(std::uint64_t index) const {
    for (const auto& [number, frame] : frames_) {
      if (index == 0 || number == index) return frame;
    }
    return std::nullopt;
  }

 private:
  std::deque<std::pair<std::uint64_t, SentFrame>> frames_;
  std::uint64_t bytes_ = 0, sent_ = 0;
  std::uint32_t max_frames_ = kMaxFrames;
};

// Frames that were refused: after kTries they are left out, so that one frame can not stop all that
// follow.
class Quarantine {
 public:
  static constexpr int kTries = 3;
  static constexpr std::size_t kMaxEntries = 4096;

  // True when this was the last try.
  bool Refused(Lane lane, std::uint64_t seq) {
    if (tries_.size() >= kMaxEntries) tries_.erase(tries_.begin());
    return ++tries_[{lane, seq}] == kTries;
  }
  bool Contains(Lane lane, std::uint64_t seq) const {
    const auto at = tries_.find({lane, seq});
    return at != tries_.end() && at->second >= kTries;
  }
  void Clear() { tries_.clear(); }

 private:
  std::map<std::pair<Lane, std::uint64_t>, int> tries_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_SEND_WINDOW_H_
