// SPDX-License-Identifier: Apache-2.0
// Windows over record time: sums and distinct keys of the last so many seconds, in bounded memory.
// Stage: detect. Pure. Thread: values. Time may stand still or step back (clocks of hosts do): what
// is older than the newest is counted at the newest.
#ifndef CULPRIT_COLLECTOR_DETECT_WINDOWS_H_
#define CULPRIT_COLLECTOR_DETECT_WINDOWS_H_

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/time.h"

namespace culprit {

inline std::int64_t SecondsOf(WallTime at) { return ToNs(at) / 1'000'000'000; }

// Sum over the last kSlots * width seconds.
template <std::size_t kSlots>
class WindowSum {
 public:
  explicit WindowSum(std::int64_t width_seconds = 1) : width_(width_seconds) {}

  void Add(WallTime at, std::uint64_t n) {
    Advance(at);
    slots_[static_cast<std::size_t>(newest_ % static_cast<std::int64_t>(kSlots))] += n;
    sum_ += n;
  }
  // Up to `at`.
  std::uint64_t Sum(WallTime at) {
    Advance(at);
    return sum_;
  }

 private:
  void Advance(WallTime at) {
    const std::int64_t slot = SecondsOf(at) / width_;
    if (slot <= newest_) return;
    const std::int64_t steps =
        std::min<std::int64_t>(slot - newest_, static_cast<std::int64_t>(kSlots));
    for (std::int64_t i = 0; i < steps; ++i) {
      auto& old = slots_[static_cast<std::size_t>((slot - i) % static_cast<std::int64_t>(kSlots))];
      sum_ -= old;
      old = 0;
    }
    newest_ = slot;
  }

  std::int64_t width_;
  std::int64_t newest_ = 0;
  std::uint64_t sum_ = 0;
  std::array<std::uint64_t, kSlots> slots_{};
};

// Keys seen within the window, each with a value; of more than `capacity` the oldest go.
template <class Key, class Value>
class RecentMap {
 public:
  RecentMap(std::chrono::seconds window, std::size_t capacity)
      : window_(window), capacity_(capacity) {}

  // The value of `key`, made anew where it is not there or has expired; `fresh` tells.
  Value& Touch(const Key& key, WallTime at, bool* fresh = nullptr) {
    now_ = std::max(now_, at);
    auto [it, inserted] = entries_.try_emplace(key);
    const bool expired = !inserted && it->second.at + window_ < now_;
    if (expired) it->second.value = Value{};
    if (fresh != nullptr) *fresh = inserted || expired;
    it->second.at = now_;
    if (inserted && entries_.size() > capacity_) {
      Shrink(key);
      return entries_.find(key)->second.value;
    }
    return it->second.value;
  }
  Value* Find(const Key& key) {
    const auto it = entries_.find(key);
    return it == entries_.end() || it->second.at + window_ < now_ ? nullptr : &it->second.value;
  }
  // Of what is within the window at `at`.
  std::size_t Count(WallTime at) {
    Expire(at);
    return entries_.size();
  }
  template <class Visit>
  void ForEach(WallTime at, const Visit& visit) {
    Expire(at);
    for (const auto& [key, entry] : entries_) visit(key, entry.value);
  }

 private:
  struct Entry {
    WallTime at;
    Value value{};
  };
  void Expire(WallTime at) {
    now_ = std::max(now_, at);
    // Not more often than time moves on by a part of the window: a count may be asked for at each
    // record.
    if (swept_ + window_ / 16 > now_ && swept_ != WallTime{}) return;
    swept_ = now_;
    std::erase_if(entries_, [&](const auto& one) { return one.second.at + window_ < now_; });
  }
  // The older half goes, but for `keep`.
  void Shrink(const Key& keep) {
    std::vector<WallTime> times;
    times.reserve(entries_.size());
    for (const auto& [key, entry] : entries_) times.push_back(entry.at);
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    const WallTime limit = *middle;
    std::size_t over = entries_.size() - capacity_ / 2;
    for (auto it = entries_.begin(); it != entries_.end() && over > 0;) {
      if (it->second.at <= limit && !(it->first == keep)) {
        it = entries_.erase(it);
        --over;
      } else {
        ++it;
      }
    }
  }

  std::chrono::seconds window_;
  std::size_t capacity_;
  WallTime now_, swept_;
  std::unordered_map<Key, Entry> entries_;
};

// The keys with the largest values at `at`, at most `most` of them, the largest first.
template <class Key, class Value>
std::vector<std::pair<Value, Key>> LargestOf(RecentMap<Key, Value>& map, WallTime at,
                                             std::size_t most) {
  std::vector<std::pair<Value, Key>> all;
  map.ForEach(at, [&](const Key& key, const Value& value) { all.emplace_back(value, key); });
  std::sort(all.rbegin(), all.rend());
  if (all.size() > most) all.resize(most);
  return all;
}

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_WINDOWS_H_
