// SPDX-License-Identifier: Apache-2.0
// The sequence of one agent's frames: what is new, what was here before, and what does not fit:
// gap, fork, rollback.
//
// Stage: ingest. Pure: no I/O, no clock. Thread: one caller at a time (the session holds the
// agent's lock). Bounded: kMaxStreams streams an agent, kRemembered hashes and kMaxHoles holes a
// lane.
//
// A frame goes through two steps: Observe() decides and, on kAccept, expects it to be journalled;
// Settle() tells how that ended. What is acknowledged follows Settle() only. After a failed frame
// the lane falls back to what is durable, and frames behind it that did get into the journal are
// remembered, so that they are not journalled twice.
#ifndef CULPRIT_COLLECTOR_INGEST_SEQUENCE_H_
#define CULPRIT_COLLECTOR_INGEST_SEQUENCE_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "collector/ingest/validate.h"
#include "collector/journal/journal.h"
#include "collector/model/stored.h"
#include "common/frame.h"
#include "common/ids.h"

namespace culprit {

struct SequenceVerdict {
  enum class Action : std::uint8_t {
    kAccept,     // journal it
    kDuplicate,  // here already: acknowledge again
    kRefuse,     // see refusal
  };
  Action action = Action::kRefuse;
  SequenceState state = SequenceState::kInOrder;
  std::uint64_t missing_from = 0, missing_to = 0;  // kGap, and kFirst that does not start at 1
  std::string stream_reason;                       // set on the first frame of a stream
  // "out_of_order" (in a hole that was recorded as a gap), "fork" (other bytes under a number that
  // is taken), "too_many_streams".
  std::string_view refusal;
};

struct DurableHead {
  std::uint64_t seq = 0;
  Sha256Digest hash{};
};

class AgentSequence {
 public:
  static constexpr std::size_t kMaxStreams = 256;
  static constexpr std::size_t kRemembered = 512;
  static constexpr std::size_t kMaxHoles = 32;

  // What the journal has from earlier runs.
  void Load(const LaneHead& head);
  // A connection begins. Returns true if the agent's spool has fallen behind what it sent before
  // (rollback).
  bool OnHello(const HelloClaim& claim);
  SequenceVerdict Observe(const FrameHeader& header, const Sha256Digest& hash);
  // The accepted frame is durable, or will not be. Called once for each kAccept, in any order.
  void Settle(const Uuid& stream, Lane lane, std::uint64_t seq, bool durable);

  DurableHead Durable(const Uuid& stream, Lane lane) const;
  // That the newest connection announced; zeros: none since the collector started.
  const Uuid& announced_stream() const { return claim_.stream_id; }
  // No accepted frame waits for Settle().
  bool Settled() const { return unsettled_ == 0; }

 private:
  struct Pending {
    std::uint64_t seq = 0;
    Sha256Digest hash{};
    enum class State : std::uint8_t { kWaiting, kDurable, kFailed } state = State::kWaiting;
  };
  struct Hole {
    std::uint64_t first = 0, last = 0;
  };
  struct LaneTrack {
    bool known = false;
    DurableHead head;     // newest accepted
    DurableHead durable;  // newest acknowledged
    std::deque<Pending> pending;
    std::deque<DurableHead> recent;  // accepted, oldest first
    std::deque<Hole> holes;
    std::map<std::uint64_t, Sha256Digest> orphans;  // journalled behind a frame that was not
  };
  struct Stream {
    std::array<LaneTrack, kLaneCount> lanes;
    bool announced = false;  // its first frame has been stamped with the reason
  };

  static SequenceVerdict Old(const LaneTrack& track, std::uint64_t seq, const Sha256Digest& hash);
  static void Classify(const LaneTrack& track, const FrameHeader& header, SequenceVerdict* verdict);
  static void Advance(LaneTrack* track, std::uint64_t seq, const Sha256Digest& hash);
  static void FallBack(LaneTrack* track);

  std::unordered_map<Uuid, Stream> streams_;
  HelloClaim claim_;
  bool rolled_back_ = false;  // the stream that claim_ follows was ahead of its spool
  std::size_t unsettled_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_INGEST_SEQUENCE_H_
