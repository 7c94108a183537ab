// SPDX-License-Identifier: Apache-2.0
// One journal entry: an agent's frame under the collector's stamp, as a record of the framed log.
// Stage: journal. Thread: pure. Failure: decoding is total on any bytes.
#ifndef CULPRIT_COLLECTOR_JOURNAL_JOURNAL_ENTRY_H_
#define CULPRIT_COLLECTOR_JOURNAL_JOURNAL_ENTRY_H_

#include <string>

#include "collector/model/stored.h"
#include "common/frame.h"
#include "common/result.h"

namespace culprit {

// Where in the journal an entry goes.
struct EntryPlace {
  Uuid journal_id;
  Lsn lsn = 0;
  ClockPair clock;
  Sha256Digest prev_hash{};
};

// The record without the agent's payload, which follows it in the file: it is never copied.
struct EncodedEntry {
  std::string head;
  Sha256Digest hash{};
};

// Errors: stamp or frame so large that the entry would be over kMaxJournalPayloadBytes.
Result<EncodedEntry> EncodeEntry(const EntryPlace& place, const CollectorStamp& stamp,
                                 const Frame& frame);
// `record` is the journal's frame. Does not recompute hashes.
Result<StoredFrame> DecodeEntry(const Frame& record);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_JOURNAL_JOURNAL_ENTRY_H_
