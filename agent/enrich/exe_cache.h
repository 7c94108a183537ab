// SPDX-License-Identifier: Apache-2.0
// What is known about executable files by (dev, inode, ctime, size), and which processes wait for a
// hash. Stage: enrich. Pure. Thread: one caller. Bounded: the entry added first goes first.
#ifndef CULPRIT_AGENT_ENRICH_EXE_CACHE_H_
#define CULPRIT_AGENT_ENRICH_EXE_CACHE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/event.h"
#include "agent/model/package.h"
#include "common/ids.h"
#include "common/sha256.h"

namespace culprit {

struct ExeEntry {
  std::string path;  // empty: not delivered yet
  std::optional<Sha256Digest> sha256;
  PackageFacts package;
  std::vector<ProcessKey> waiting;
};

class ExeCache {
 public:
  explicit ExeCache(std::size_t max_entries) : max_(max_entries) {}

  // The entry of `exe`, made if there is none. Valid until the next Get.
  ExeEntry& Get(const ExeIdentity& exe);
  // Bounded an entry: a process beyond the bound gets its hash at its next exec or not at all.
  static void Wait(ExeEntry& entry, const ProcessKey& key);

  std::size_t size() const { return entries_.size(); }
  std::uint64_t evicted() const { return evicted_; }

 private:
  static constexpr std::size_t kMaxWaiting = 1'024;

  std::size_t max_;
  std::map<ExeIdentity, ExeEntry> entries_;
  std::deque<ExeIdentity> order_;
  std::uint64_t evicted_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENRICH_EXE_CACHE_H_
