// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/own_snapshots.h"

#include <algorithm>
#include <utility>

namespace culprit {

bool OwnSnapshots::Queue(OwnSnapshot wish) {
  if (queue_.size() >= kMaxQueued) return false;
  wish.trigger.resize(std::min(wish.trigger.size(), kMaxOrderText));
  queue_.push_back(std::move(wish));
  return true;
}

void OwnSnapshots::Offer(const SnapshotOffer& offer) {
  if (offered_.size() < kMaxOffered) offered_[offer.snapshot_id] = {offer, Time()};
}

void OwnSnapshots::AskedAbout(const Uuid& id, Time now) {
  if (const auto at = offered_.find(id); at != offered_.end()) at->second.due = now + kAgain;
}

void OwnSnapshots::Watch(std::uint64_t request_id) {
  watch_ = request_id;
  for (auto& [id, offered] : offered_) offered.due = Time();
}

std::vector<ControlAnswer> OwnSnapshots::Due(Time now, std::size_t most) {
  std::vector<ControlAnswer> due;
  if (!watch_) return due;
  for (auto& [id, offered] : offered_) {
    if (due.size() >= most) break;
    if (offered.due > now) continue;
    offered.due = now + kAgain;
    ControlAnswer answer;
    answer.request_id = *watch_;
    answer.subject = ControlSubject::kSnapshot;
    answer.offer = offered.offer;
    due.push_back(std::move(answer));
  }
  return due;
}

std::optional<OwnSnapshots::Time> OwnSnapshots::next_due() const {
  std::optional<Time> next;
  if (!watch_) return next;
  for (const auto& [id, offered] : offered_) {
    if (!next || offered.due < *next) next = offered.due;
  }
  return next;
}

}  // namespace culprit
