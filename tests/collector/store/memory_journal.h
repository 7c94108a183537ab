// SPDX-License-Identifier: Apache-2.0
// A journal in memory, for tests of what follows it.
#ifndef CULPRIT_TESTS_COLLECTOR_STORE_MEMORY_JOURNAL_H_
#define CULPRIT_TESTS_COLLECTOR_STORE_MEMORY_JOURNAL_H_

#include <condition_variable>
#include <mutex>
#include <vector>

#include "collector/journal/journal.h"

namespace culprit::testing {

class MemoryJournal final : public Journal {
 public:
  void Add(StoredFrame frame) {
    {
      const std::lock_guard lock(mutex_);
      frame.lsn = frames_.size() + 1;
      frames_.push_back(std::move(frame));
    }
    grown_.notify_all();
  }
  void Append(CollectorStamp stamp, Frame frame, std::function<void(Result<Lsn>)> done) override {
    Add({0, std::move(stamp), std::move(frame)});
    done(stats().durable_lsn);
  }
  Status Scan(Lsn first, const std::function<bool(const StoredFrame&)>& visit) override {
    for (std::size_t i = first == 0 ? 0 : first - 1;; ++i) {
      StoredFrame frame;
      {
        const std::lock_guard lock(mutex_);
        if (i >= frames_.size()) return Ok();
        frame = frames_[i];
      }
      if (!visit(frame)) return Ok();
    }
  }
  bool WaitFor(Lsn first, std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    return grown_.wait_for(lock, timeout, [&] { return frames_.size() >= first; });
  }
  std::vector<LaneHead> lane_heads() const override { return {}; }
  JournalStats stats() const override {
    const std::lock_guard lock(mutex_);
    JournalStats out;
    out.durable_lsn = frames_.size();
    return out;
  }
  const std::vector<JournalDamage>& damage() const override { return damage_; }
  Status Retain(std::uint64_t, WallTime) override { return Ok(); }
  void Stop() override {}

 private:
  mutable std::mutex mutex_;
  std::condition_variable grown_;
  std::vector<StoredFrame> frames_;
  std::vector<JournalDamage> damage_;
};

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_STORE_MEMORY_JOURNAL_H_
