// SPDX-License-Identifier: Apache-2.0
// Reads one journal segment from end to end: what a seal would say of it, and everything that is wrong with it.
// Stage: journal (edge: files). Thread: no shared state. Failure: only of the operating system; bad bytes are damage.
#ifndef CULPRIT_COLLECTOR_JOURNAL_SEGMENT_SCAN_H_
#define CULPRIT_COLLECTOR_JOURNAL_SEGMENT_SCAN_H_

#include <string>
#include <string_view>
#include <vector>

#include "collector/journal/heads.h"
#include "collector/journal/journal.h"
#include "collector/journal/seal.h"
#include "common/sha256.h"

namespace culprit {

std::string JournalSegmentName(Lsn first_lsn);
std::string SealNameOf(std::string_view segment_name);
// Whether `name` is one that JournalSegmentName() makes.
bool ParseJournalSegmentName(std::string_view name, Lsn* first_lsn);

// Follows the entries of a segment as they are read or written, up to what its seal says.
class SegmentTally {
 public:
  void Add(const StoredFrame& stored, const Sha256Digest& hash, const Sha256Digest& prev_hash);
  // Without `bytes` and `sha256`.
  JournalSeal Summary(const Uuid& journal_id) const;
  Lsn first_lsn() const { return seal_.first_lsn; }
  Lsn last_lsn() const { return seal_.last_lsn; }
  std::uint64_t entries() const { return seal_.entries; }
  const Sha256Digest& last_hash() const { return seal_.last_hash; }
  const Sha256Digest& first_prev_hash() const { return seal_.first_prev_hash; }
  WallTime last_received() const { return seal_.last_received; }
  const LaneHeads& heads() const { return heads_; }

 private:
  JournalSeal seal_;
  LaneHeads heads_;
};

struct SegmentScan {
  Uuid journal_id;
  SegmentTally tally;
  std::uint64_t end_offset = 0;   // behind the last whole entry
  std::uint64_t tail_bytes = 0;   // behind that
  bool torn_tail = false;         // and whether they look like an entry that was being written
  std::vector<JournalDamage> damage;  // the tail too
};

// `deep`: recomputes every hash, the agents' too.
Result<SegmentScan> ScanJournalSegment(const std::string& directory, const std::string& name,
                                       bool deep);

// Feeds the first `bytes` of the file to `hash`.
Status HashFile(const std::string& path, std::uint64_t bytes, Sha256* hash);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_JOURNAL_SEGMENT_SCAN_H_
