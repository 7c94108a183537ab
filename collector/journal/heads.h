// SPDX-License-Identifier: Apache-2.0
// The newest frame of each (agent, stream, lane) with its LSN: what dedup stands on, and what a seal's footer holds.
// Stage: journal. Pure. Thread: the caller's lock.
#ifndef CULPRIT_COLLECTOR_JOURNAL_HEADS_H_
#define CULPRIT_COLLECTOR_JOURNAL_HEADS_H_

#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "collector/journal/journal.h"

namespace culprit {

struct HeadEntry {
  LaneHead head;
  Lsn lsn = 0;
};

class LaneHeads {
 public:
  // Takes `entry` unless a newer one (by seq) is known.
  void Update(const HeadEntry& entry);
  void Update(const StoredFrame& stored);
  void UpdateAll(const std::vector<HeadEntry>& entries) {
    for (const HeadEntry& entry : entries) Update(entry);
  }
  // In the order of (agent, stream, lane).
  std::vector<HeadEntry> entries() const;
  // Those whose newest entry lies before `lsn`; of more than `max`, the newest.
  std::vector<HeadEntry> OlderThan(Lsn lsn, std::size_t max) const;
  void clear() { heads_.clear(); }

 private:
  // By agent too: an agent that sends under another's stream id must not move the other's head.
  std::map<std::tuple<Uuid, Uuid, Lane>, HeadEntry> heads_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_JOURNAL_HEADS_H_
