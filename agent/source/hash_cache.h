// SPDX-License-Identifier: Apache-2.0
// HashCache: what is known about an executable file, by identity; the least recently used goes
// first. Stage: source. Pure. Thread: one caller. Bounded by `capacity`.
#ifndef CULPRIT_AGENT_SOURCE_HASH_CACHE_H_
#define CULPRIT_AGENT_SOURCE_HASH_CACHE_H_

#include <cstddef>
#include <list>
#include <map>
#include <utility>

#include "agent/model/event.h"

namespace culprit {

class HashCache {
 public:
  explicit HashCache(std::size_t capacity) : capacity_(capacity) {}

  // Borrowed until the next call; nullptr if not known.
  ExeHashEvent* Find(const ExeIdentity& exe);
  void Insert(const ExeHashEvent& event);
  std::size_t size() const { return entries_.size(); }

 private:
  std::size_t capacity_;
  std::list<ExeHashEvent> entries_;  // most recently used first
  std::map<ExeIdentity, std::list<ExeHashEvent>::iterator> index_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_HASH_CACHE_H_
