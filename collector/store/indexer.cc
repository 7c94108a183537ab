// SPDX-License-Identifier: Apache-2.0
#include "collector/store/indexer.h"

#include <algorithm>

#include "collector/model/batch_decoder.h"
#include "common/time.h"

namespace culprit {

Indexer::Indexer(Journal& journal, EvidenceStore& store, IndexerOptions options)
    : journal_(journal), store_(store), options_(options) {}

void Indexer::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    Status status = CatchUp(stop);
    if (status) status = store_.Flush();
    Report(status);
    ApplyRetention();
    if (status) {
      journal_.WaitFor(next_lsn_, options_.commit_interval);
      // Frames that arrive one by one share a transaction.
      PauseUntil(stop, last_flush_ + options_.commit_interval);
    } else {
      PauseUntil(stop, std::chrono::steady_clock::now() + options_.commit_interval);
    }
  }
  Report(store_.Flush());
}

// Takes all that is durable, flushing by the clock in between.
Status Indexer::CatchUp(const std::stop_token& stop) {
  next_lsn_ = store_.applied_lsn() + 1;
  Status taken = Ok();
  last_flush_ = std::chrono::steady_clock::now();
  const Status scanned = journal_.Scan(next_lsn_, [&](const StoredFrame& stored) {
    const DecodedFrame frame = DecodeStoredFrame(stored);
    taken = store_.Append({&frame, 1});
    if (!taken) return false;
    next_lsn_ = stored.lsn + 1;
    {
      const std::lock_guard lock(mutex_);
      ++stats_.frames;
      stats_.records += frame.records();
      stats_.rejected_records += frame.rejected;
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - last_flush_ >= options_.commit_interval) {
      taken = store_.Flush();
      last_flush_ = now;
    }
    return taken.has_value() && !stop.stop_requested();
  });
  if (!taken) return taken;
  return scanned;
}

void Indexer::PauseUntil(const std::stop_token& stop, std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  stopped_.wait_until(lock, stop, until, [] { return false; });
}

void Indexer::ApplyRetention() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_retention_) return;
  next_retention_ = now + options_.retention_interval;
  RetentionPolicy policy;
  {
    const std::lock_guard lock(mutex_);
    policy.max_bytes = options_.max_bytes;
    if (options_.max_age.count() > 0) policy.older_than = ReadWallClock() - options_.max_age;
  }
  if (policy.max_bytes == 0 && !policy.older_than) return;
  Report(store_.Retain(policy));
}

void Indexer::SetRetention(std::uint64_t max_bytes, std::chrono::seconds max_age) {
  const std::lock_guard lock(mutex_);
  options_.max_bytes = max_bytes;
  options_.max_age = max_age;
}

void Indexer::Report(const Status& status) {
  const std::lock_guard lock(mutex_);
  stats_.failing = status ? "" : status.error().message;
}

IndexerStats Indexer::stats() const {
  const Lsn applied = store_.applied_lsn();
  const Lsn durable = journal_.stats().durable_lsn;
  const std::lock_guard lock(mutex_);
  IndexerStats out = stats_;
  out.applied_lsn = applied;
  out.lag = durable > applied ? durable - applied : 0;
  return out;
}

}  // namespace culprit
