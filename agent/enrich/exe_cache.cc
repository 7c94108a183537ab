// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/exe_cache.h"

#include <algorithm>

namespace culprit {

ExeEntry& ExeCache::Get(const ExeIdentity& exe) {
  const auto found = entries_.find(exe);
  if (found != entries_.end()) return found->second;
  if (entries_.size() >= max_ && !order_.empty()) {
    entries_.erase(order_.front());
    order_.pop_front();
    ++evicted_;
  }
  order_.push_back(exe);
  return entries_[exe];
}

void ExeCache::Wait(ExeEntry& entry, const ProcessKey& key) {
  if (entry.waiting.size() < kMaxWaiting) entry.waiting.push_back(key);
}

}  // namespace culprit
