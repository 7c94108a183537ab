// SPDX-License-Identifier: Apache-2.0
// The spool: evidence on the agent's disk from the moment it is made until the collector has it
// durably. Bounded, CRC-framed, hash-chained; survives kill -9 at any instant, reboot, and
// partition.
//
// Stage: spool (edge: files). Thread: all of one object belongs to one thread (the sensor's). The
// sender process reads segments through descriptors that OpenSegment() hands out; it never writes.
//
// Directory (mode 0700, DIR/lock held while open):
//   DIR/stream                   stream id, the one before it, and why; checksummed text,
//   atomically replaced DIR/acked                    per lane: acked seq, newest seq, hash and
//   segment when last written; atomically replaced. A
//                                hint: losing it only repeats frames. A spool that has less than it
//                                says lost its tail.
//   DIR/losses                   losses not yet declared or still visible as holes; written before
//   anything is dropped DIR/{evidence,bulk}-%016x.clog  segments, see common/framed_log.h; one lane
//   each, log id = stream id DIR/NAME.corrupt             bytes that did not check out, at most
//   1/16 of the cap
// Whole segments are unlinked once every frame in them is acked; the newest of a lane stays, since
// it carries the chain.
#ifndef CULPRIT_AGENT_SPOOL_SPOOL_H_
#define CULPRIT_AGENT_SPOOL_SPOOL_H_

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/frame.h"
#include "common/framed_log.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"
#include "common/unique_fd.h"

namespace culprit {

struct SpoolOptions {
  std::string directory;
  std::uint64_t max_bytes = 256ULL << 20;  // cap over both lanes
  std::uint64_t segment_bytes =
      8ULL << 20;  // a segment is closed when it grows past this or 1/8 of the cap
};

// A hole that must be declared to the collector. seq range inclusive; both 0 where it is not known.
// `frames`, `records`: 0 where not known; `bytes`: on disk.
struct SpoolLoss {
  enum class Cause { kCap, kCorrupt, kWriteFailed } cause = Cause::kCap;
  Lane lane = Lane::kEvidence;
  std::uint64_t first_seq = 0, last_seq = 0;
  std::uint64_t frames = 0, bytes = 0, records = 0;
  Sha256Digest end_hash{};  // hash of the last lost frame, zeros if unknown
  std::string detail;
};

struct SpoolSegment {
  Lane lane = Lane::kEvidence;
  std::uint64_t number = 0;                   // from the file name, increasing
  std::uint64_t first_seq = 0, last_seq = 0;  // 0 = empty
  std::uint64_t bytes = 0;                    // whole records end here
};

struct LaneState {
  std::uint64_t oldest_seq = 1;  // oldest still on disk; newest_seq + 1 if none
  std::uint64_t newest_seq = 0;  // 0 = nothing written yet
  std::uint64_t acked_seq = 0;
  Sha256Digest newest_hash{};
};

class Spool {
 public:
  // Always starts: a torn tail is cut, corrupt bytes are skipped and kept as NAME.corrupt, and both
  // are reported by TakeLosses(). Errors only where nothing can be written at all (no directory, no
  // permission, disk full).
  static Result<std::unique_ptr<Spool>> Open(const SpoolOptions& options);
  ~Spool();

  const Uuid& stream_id() const;
  // "new", "resumed", "tail_lost", "spool_lost".
  const std::string& stream_reason() const;
  // The stream that this one replaced (all zeros = none).
  const Uuid& previous_stream_id() const;

  // Frames, chains and writes `inflated` (a serialised EvidenceBatch): it then survives kill -9.
  // Errors: batch too large (kInvalidArgument); disk full or I/O error (kResourceExhausted or
  // other): nothing is written, the batch is counted as a loss that TakeLosses() gives out once
  // writing works again.
  Result<FrameHeader> Append(Lane lane, FrameKind kind, const ClockPair& clock,
                             std::uint32_t record_count, std::string_view inflated);
  // fdatasync of what was appended since the last call. Call at most 1 s after an append. After an
  // error the lane goes on in a new segment.
  Status Sync();
  // The collector has everything of `lane` up to `seq` durably. Unlinks segments. Never moves
  // backwards. Errors: kOutOfRange if `seq` is ahead of this spool; all of the lane then counts as
  // acked, and the stream must end.
  Status Acknowledge(Lane lane, std::uint64_t seq);
  // The collector is ahead of this spool, or has another frame under the same seq (the tail was
  // lost at a power cut): starts a new stream, reason "tail_lost". Acknowledge both lanes first:
  // what is not acked is carried over, framed anew as seq 1, 2, … of the new stream with its own
  // times. Descriptors from OpenSegment() then show the old stream.
  Status BeginNewStream(std::string_view reason);
  // The hash of frame `seq`, to compare with what the collector has. nullopt if it is not on disk.
  std::optional<Sha256Digest> HashOf(Lane lane, std::uint64_t seq) const;

  // Looks whether segments, the lock or the whole directory were removed by somebody else, and goes
  // on without a new stream: a segment that was being written is written again from its open file;
  // of others, what was not acked is a loss (cause kCorrupt) with range and hash. Cheap: a look at
  // each name. Call every other second.
  Status RestoreRemoved();
  // Segments that were found removed since Open().
  std::uint32_t files_removed() const;

  // Another cap from the next append on; segments of at most an eighth of it.
  void SetMaxBytes(std::uint64_t max_bytes);

  LaneState lane(Lane lane) const;
  std::uint64_t bytes() const;
  std::vector<SpoolSegment> segments(Lane lane) const;  // oldest first; the last may still grow
  Result<UniqueFd> OpenSegment(Lane lane, std::uint64_t number) const;  // read-only
  // Losses since the last call: to be written as a kLoss frame in the evidence lane, before the
  // next call. They are given out again if that frame is not written, also after a crash.
  std::vector<SpoolLoss> TakeLosses();

 private:
  class Impl;
  explicit Spool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SPOOL_SPOOL_H_
