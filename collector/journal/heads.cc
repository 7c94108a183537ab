// SPDX-License-Identifier: Apache-2.0
#include "collector/journal/heads.h"

#include <algorithm>

namespace culprit {

void LaneHeads::Update(const HeadEntry& entry) {
  HeadEntry& known = heads_[{entry.head.agent_id, entry.head.stream_id, entry.head.lane}];
  if (entry.head.seq >= known.head.seq) known = entry;
}

void LaneHeads::Update(const StoredFrame& stored) {
  const FrameHeader& header = stored.frame.header;
  Update({{stored.stamp.agent_id, header.stream_id, header.lane, header.seq, stored.frame.hash},
          stored.lsn});
}

std::vector<HeadEntry> LaneHeads::entries() const {
  std::vector<HeadEntry> all;
  all.reserve(heads_.size());
  for (const auto& [key, entry] : heads_) all.push_back(entry);
  return all;
}

std::vector<HeadEntry> LaneHeads::OlderThan(Lsn lsn, std::size_t max) const {
  std::vector<HeadEntry> older;
  for (const auto& [key, entry] : heads_) {
    if (entry.lsn < lsn) older.push_back(entry);
  }
  if (older.size() > max) {
    std::sort(older.begin(), older.end(),
              [](const HeadEntry& a, const HeadEntry& b) { return a.lsn > b.lsn; });
    older.resize(max);
  }
  return older;
}

}  // namespace culprit
