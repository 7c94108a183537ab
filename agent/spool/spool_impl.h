// SPDX-License-Identifier: Apache-2.0
// The spool's inside: one chain and one row of segment files a lane, the ledger of losses, the
// small state files. Stage: spool (edge: files). Thread: the spool's. Not for other folders.
#ifndef CULPRIT_AGENT_SPOOL_SPOOL_IMPL_H_
#define CULPRIT_AGENT_SPOOL_SPOOL_IMPL_H_

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "agent/spool/loss_ledger.h"
#include "agent/spool/spool.h"
#include "agent/spool/spool_recovery.h"
#include "agent/spool/spool_state.h"

namespace culprit {

class Spool::Impl {
 public:
  explicit Impl(const SpoolOptions& options);
  ~Impl();

  Status Start();  // spool_open.cc
  Result<FrameHeader> Append(Lane lane, FrameKind kind, const ClockPair& clock,
                             std::uint32_t record_count, std::string_view inflated);
  Status Sync();
  Status Acknowledge(Lane lane, std::uint64_t seq);
  Status BeginNewStream(std::string_view reason);  // spool_open.cc
  std::optional<Sha256Digest> HashOf(Lane lane, std::uint64_t seq) const;
  void SetMaxBytes(std::uint64_t max_bytes);
  LaneState State(Lane lane) const;
  std::uint64_t TotalBytes() const;
  std::vector<SpoolSegment> Segments(Lane lane) const;
  Result<UniqueFd> OpenSegment(Lane lane, std::uint64_t number) const;
  std::vector<SpoolLoss> TakeLosses();
  Status RestoreRemoved();  // spool_restore.cc

  std::uint32_t files_removed() const { return files_removed_; }
  const SpoolStream& stream() const { return stream_; }
  const std::string& reported_reason() const { return reported_reason_; }

 private:
  struct LaneLog {
    std::deque<SegmentInfo> segments;     // oldest first
    std::optional<SegmentWriter> writer;  // of segments.back()
    bool unsynced = false;
    std::uint64_t newest_seq = 0;
    std::uint64_t acked_seq = 0;
    std::uint64_t next_number = 1;
    Sha256Digest newest_hash{};
  };

  LaneLog& log(Lane lane) { return lanes_[static_cast<std::size_t>(lane)]; }
  const LaneLog& log(Lane lane) const { return lanes_[static_cast<std::size_t>(lane)]; }
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }
  std::string PathOf(Lane lane, std::uint64_t number) const {
    return PathOf(SpoolSegmentName(lane, number));
  }

  // spool.cc
  Status WriteFrame(Lane lane, const Frame& frame);
  Status EnsureWriter(Lane lane);
  Status CloseSegment(Lane lane);
  Status SyncLane(Lane lane);
  void MakeRoom(std::uint64_t wanted);
  bool ShedOldest(Lane lane, bool also_open);
  SpoolLoss LossOf(const SegmentInfo& segment, std::uint64_t acked_seq) const;
  Status SaveAcked();
  Status SaveLosses();

  // spool_restore.cc
  bool WriterLostItsFile(Lane lane) const;
  std::uint32_t CountRemoved() const;
  void RestoreLane(Lane lane);

  // spool_open.cc
  using FoundLanes = std::array<std::vector<FoundSegment>, kLaneCount>;
  struct ChainEnd {
    std::uint64_t seq = 0;
    Sha256Digest hash{};
  };
  Status ClearTemporaries(CorruptBin* bin);
  Status ChooseStream(const Result<std::string>& text, bool had_acked, const FoundLanes& found);
  // Reads the segments into lanes_. `acked`: what DIR/acked says, if anything. `saved_losses`: what
  // DIR/losses says.
  Status Load(const std::optional<SpoolAcked>& acked, std::optional<SpoolLosses> saved_losses,
              CorruptBin* bin);
  Status DropForeign(Lane lane, const std::optional<SpoolAcked>& acked,
                     std::vector<FoundSegment>* found, CorruptBin* bin);
  Status TakeScan(Lane lane, LaneScan scan, const SpoolAcked::LaneEntry* acked);
  bool TailLost(const SpoolAcked& acked) const;
  // Frames what is not acked of the segment anew for the current stream, in a file of the same
  // name. False if all was acked.
  Result<bool> ConvertSegment(Lane lane, const FoundSegment& found, std::uint64_t acked_seq,
                              ChainEnd* end);

  SpoolOptions options_;
  UniqueFd lock_;
  SpoolStream stream_;
  std::string reported_reason_;
  std::array<LaneLog, kLaneCount> lanes_;
  LossLedger ledger_;
  std::vector<SpoolLoss> foreign_;  // found by DropForeign(), on their way into the ledger
  std::uint32_t files_removed_ = 0;
  bool write_failing_ = false;    // the last append failed
  std::uint64_t saved_acks_ = 0;  // sum of acked seqs in DIR/acked
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SPOOL_SPOOL_IMPL_H_
