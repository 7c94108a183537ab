// SPDX-License-Identifier: Apache-2.0
// What a spool directory holds after whatever happened to it: reads every segment, sets damaged bytes aside, finds holes.
// Stage: spool (edge: files). Thread: the spool's.
// Failure: corrupt content never; only what makes the directory unusable (no permission, I/O error on listing).
#ifndef CULPRIT_AGENT_SPOOL_SPOOL_RECOVERY_H_
#define CULPRIT_AGENT_SPOOL_SPOOL_RECOVERY_H_

#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "agent/spool/spool_state.h"
#include "common/framed_log.h"

namespace culprit {

struct SegmentInfo {
  SpoolSegment segment;
  std::uint64_t frames = 0;
  std::uint64_t records = 0;
  Sha256Digest last_hash{};
};

// Keeps bytes that did not check out as files NAME.corrupt, within a budget.
class CorruptBin {
 public:
  CorruptBin(std::string directory, std::uint64_t max_bytes)
      : directory_(std::move(directory)), left_(max_bytes) {}
  // Counts what is there already.
  void Charge(std::uint64_t bytes) { left_ -= std::min(bytes, left_); }
  // Copies `damage` of DIR/`name`, unless it was kept before or the budget is spent. A copy that fails is left out.
  void Keep(const std::string& name, const ReadDamage& damage);
  // Renames DIR/`name` away whole; removes it once the budget is spent.
  Status MoveAway(const std::string& name);

 private:
  std::string directory_;
  std::uint64_t left_;
  std::set<std::string> fresh_;  // files begun by this object
};

// A segment file as found: its header says which stream it belongs to.
struct FoundSegment {
  std::string name;
  std::uint64_t number = 0;
  Uuid stream;
  std::uint64_t file_bytes = 0;
};

// The segments of one lane, oldest first. Files that cannot hold a record are removed or set aside.
Result<std::vector<FoundSegment>> FindSegments(const std::string& directory, Lane lane,
                                               CorruptBin* bin);

struct LaneScan {
  std::deque<SegmentInfo> segments;
  std::uint64_t newest_seq = 0;
  Sha256Digest newest_hash{};
  std::uint64_t newest_loss_frame = 0;  // seq of the newest frame of kind kLoss
  // Every hole in the sequence, and damage that hides no known frame; oldest first.
  std::vector<SpoolLoss> holes;
};

// Reads `found`, which are of one stream. Cuts incomplete and damaged tails off. A hole before the first frame counts from
// `expected_first` (0 = whatever comes first is right).
Result<LaneScan> ScanLane(const std::string& directory, Lane lane,
                          const std::vector<FoundSegment>& found, std::uint64_t expected_first,
                          CorruptBin* bin);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SPOOL_SPOOL_RECOVERY_H_
