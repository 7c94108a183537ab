// SPDX-License-Identifier: Apache-2.0
#include "agent/source/hash_cache.h"

namespace culprit {

ExeHashEvent* HashCache::Find(const ExeIdentity& exe) {
  const auto it = index_.find(exe);
  if (it == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  return &entries_.front();
}

void HashCache::Insert(const ExeHashEvent& event) {
  if (ExeHashEvent* known = Find(event.exe)) {
    *known = event;
    return;
  }
  if (capacity_ == 0) return;
  if (entries_.size() >= capacity_) {
    index_.erase(entries_.back().exe);
    entries_.pop_back();
  }
  entries_.push_front(event);
  index_.emplace(event.exe, entries_.begin());
}

}  // namespace culprit
