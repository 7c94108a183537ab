// SPDX-License-Identifier: Apache-2.0
// What a journal directory holds after whatever happened to it, made ready for appending.
// Stage: journal (edge: files). Thread: used once, by Journal::Open().
#ifndef CULPRIT_COLLECTOR_JOURNAL_JOURNAL_RECOVERY_H_
#define CULPRIT_COLLECTOR_JOURNAL_JOURNAL_RECOVERY_H_

#include <optional>
#include <string>
#include <vector>

#include "collector/journal/heads.h"
#include "collector/journal/journal.h"
#include "collector/journal/seal.h"
#include "collector/journal/segment_scan.h"
#include "common/framed_log.h"
#include "common/sha256.h"

namespace culprit {

inline constexpr std::size_t kMaxCarriedHeads = 100'000;

// A segment as readers and retention know it.
struct SegmentMeta {
  std::string name;
  Lsn first_lsn = 0, last_lsn = 0;
  std::uint64_t bytes = 0;
  WallTime last_received;
  bool sealed = false;
};

// The segment that is being written.
struct OpenSegment {
  std::string name;
  SegmentWriter writer;
  SegmentTally tally;
  Sha256 file_hash;  // of everything up to writer.offset()
};

struct JournalState {
  Uuid journal_id;
  std::vector<SegmentMeta> segments;  // oldest first, the open one last
  std::optional<OpenSegment> open;
  LaneHeads heads;
  Lsn last_lsn = 0;   // durable
  Lsn next_lsn = 1;   // greater than last_lsn + 1 where damaged bytes may have held entries
  Sha256Digest last_hash{};
  std::vector<JournalDamage> damage;
};

// `signer` may be null. Seals closed segments that lack a seal.
Result<JournalState> RecoverJournal(const JournalOptions& options, const SealSigner* signer);

// Writes DIR/<segment>.seal.
Status WriteSeal(const std::string& directory, const std::string& segment_name, JournalSeal seal,
                 const SealSigner* signer);
Status SaveCarriedHeads(const std::string& directory, const Uuid& journal_id, Lsn oldest_lsn,
                        std::vector<HeadEntry> heads);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_JOURNAL_JOURNAL_RECOVERY_H_
