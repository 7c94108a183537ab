// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/process_table.h"

namespace culprit {

Process* ProcessTable::Find(const ProcessKey& key) {
  const auto found = processes_.find(key);
  return found == processes_.end() ? nullptr : &found->second;
}

Process* ProcessTable::FindLive(Tgid tgid) {
  const auto found = by_tgid_.find(tgid);
  return found == by_tgid_.end() ? nullptr : found->second;
}

void ProcessTable::Link(List& list, Process& process) {
  process.older_ = list.newest;
  process.newer_ = nullptr;
  if (list.newest != nullptr) list.newest->newer_ = &process;
  list.newest = &process;
  if (list.oldest == nullptr) list.oldest = &process;
  ++list.count;
}

void ProcessTable::Unlink(List& list, Process& process) {
  if (process.older_ != nullptr) process.older_->newer_ = process.newer_;
  if (process.newer_ != nullptr) process.newer_->older_ = process.older_;
  if (list.oldest == &process) list.oldest = process.newer_;
  if (list.newest == &process) list.newest = process.older_;
  process.older_ = process.newer_ = nullptr;
  --list.count;
}

void ProcessTable::Erase(Process& process) {
  if (process.ended == BootTime{}) {
    const auto list = live_by_uid_.find(process.list_uid_);
    Unlink(list->second, process);
    if (list->second.count == 0) live_by_uid_.erase(list);
  } else {
    Unlink(ended_, process);
  }
  const auto live = by_tgid_.find(process.key.tgid);
  if (live != by_tgid_.end() && live->second == &process) by_tgid_.erase(live);
  const ProcessKey key = process.key;  // erase(process.key) would read the key of a node that it frees
  processes_.erase(key);
}

void ProcessTable::EvictOne() {
  ++evicted_;
  if (ended_.oldest != nullptr) return Erase(*ended_.oldest);
  List* largest = nullptr;
  for (auto& [uid, list] : live_by_uid_) {
    if (largest == nullptr || list.count > largest->count) largest = &list;
  }
  if (largest == nullptr) return;
  Process* victim = largest->oldest;
  // Everybody's ancestor stays.
  if (victim->key.tgid == Tgid{1} && victim->newer_ != nullptr) victim = victim->newer_;
  Erase(*victim);
}

Process& ProcessTable::Insert(const ProcessKey& key, Uid uid) {
  if (Process* known = Find(key); known != nullptr) return *known;
  if (processes_.size() >= max_) EvictOne();
  Process& process = processes_[key];
  process.key = key;
  process.list_uid_ = uid;
  Link(live_by_uid_[uid], process);
  Process*& live = by_tgid_[key.tgid];
  // A record that comes late must not hide the image that replaced it.
  if (live == nullptr || live->key < key) live = &process;
  return process;
}

void ProcessTable::Retire(Process& process, BootTime at) {
  if (process.ended != BootTime{}) return;
  const auto list = live_by_uid_.find(process.list_uid_);
  Unlink(list->second, process);
  if (list->second.count == 0) live_by_uid_.erase(list);
  process.ended = at == BootTime{} ? BootTimeFromNs(1) : at;
  Link(ended_, process);
  const auto live = by_tgid_.find(process.key.tgid);
  if (live != by_tgid_.end() && live->second == &process) by_tgid_.erase(live);
}

void ProcessTable::Expire(BootTime before) {
  while (ended_.oldest != nullptr && ended_.oldest->ended < before) Erase(*ended_.oldest);
}

}  // namespace culprit
