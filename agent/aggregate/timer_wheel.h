// SPDX-License-Identifier: Apache-2.0
// Timers for many small things: a wheel of 256 slots of 50 ms. Entries are never cancelled: whoever
// is called compares `due` with the thing's own. What lies beyond the wheel comes round early and
// has to be scheduled again. Stage: aggregate. Pure. Thread: one caller.
#ifndef CULPRIT_AGENT_AGGREGATE_TIMER_WHEEL_H_
#define CULPRIT_AGENT_AGGREGATE_TIMER_WHEEL_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "common/time.h"

namespace culprit {

class TimerWheel {
 public:
  static constexpr std::chrono::nanoseconds kSlot = std::chrono::milliseconds(50);
  static constexpr std::uint64_t kSlots = 256;

  void Schedule(std::uint32_t index, BootTime due) {
    const std::uint64_t at = SlotOf(due);
    const std::uint64_t first = current_ + 1;
    const std::uint64_t last = current_ + kSlots - 1;
    slots_[(at < first ? first : (at > last ? last : at)) % kSlots].push_back({index, due});
  }

  // Calls `fire(index, due)` for every entry whose slot has passed at `now`. It may schedule.
  template <class Fire>
  void Advance(BootTime now, const Fire& fire) {
    const std::uint64_t target = ToNs(now) / SlotNs();
    if (target <= current_) return;
    // After a jump over the whole wheel each slot is visited once.
    if (target - current_ > kSlots) current_ = target - kSlots;
    while (current_ < target) {
      ++current_;
      std::vector<Entry>& slot = slots_[current_ % kSlots];
      firing_.swap(slot);
      for (const Entry& entry : firing_) fire(entry.index, entry.due);
      firing_.clear();
      if (slot.empty()) firing_.swap(slot);  // keeps the storage with the slot
    }
  }

 private:
  struct Entry {
    std::uint32_t index;
    BootTime due;
  };
  static constexpr std::uint64_t SlotNs() { return static_cast<std::uint64_t>(kSlot.count()); }
  // Rounded up, so that nothing fires before it is due.
  static std::uint64_t SlotOf(BootTime t) { return (ToNs(t) + SlotNs() - 1) / SlotNs(); }

  std::array<std::vector<Entry>, kSlots> slots_;
  std::vector<Entry> firing_;
  std::uint64_t current_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_AGGREGATE_TIMER_WHEEL_H_
