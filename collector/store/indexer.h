// SPDX-License-Identifier: Apache-2.0
// Follows the journal and keeps the index up to date; applies its retention. What is acknowledged
// never depends on it.
//
// Stage: store. Thread: Run() belongs to one thread; the rest from any. Failure: when the store
// refuses a write, the indexer says so in stats(), waits and tries again from the last applied LSN;
// it never skips a frame.
#ifndef CULPRIT_COLLECTOR_STORE_INDEXER_H_
#define CULPRIT_COLLECTOR_STORE_INDEXER_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "collector/journal/journal.h"
#include "collector/store/evidence_store.h"

namespace culprit {

struct IndexerOptions {
  std::chrono::milliseconds commit_interval{500};  // freshness of answers
  std::uint64_t max_bytes = 0;                     // retention of the index; 0 = no limit
  std::chrono::seconds max_age{0};                 // 0 = no limit
  std::chrono::seconds retention_interval{60};
};

struct IndexerStats {
  Lsn applied_lsn = 0;
  std::uint64_t lag = 0;  // frames that are durable and not yet visible
  std::uint64_t frames = 0, records = 0, rejected_records = 0;
  std::string failing;  // empty = working
};

class Indexer {
 public:
  // `journal` and `store` outlive the indexer.
  Indexer(Journal& journal, EvidenceStore& store, IndexerOptions options);
  // Blocks until asked to stop; flushes before it returns. Latency of a stop: one commit interval.
  void Run(std::stop_token stop);
  IndexerStats stats() const;
  // Holds from the next look at it on, a minute later at most.
  void SetRetention(std::uint64_t max_bytes, std::chrono::seconds max_age);

 private:
  Status CatchUp(const std::stop_token& stop);
  void PauseUntil(const std::stop_token& stop, std::chrono::steady_clock::time_point until);
  void ApplyRetention();
  void Report(const Status& status);

  Journal& journal_;
  EvidenceStore& store_;
  IndexerOptions options_;  // its retention guarded by mutex_
  mutable std::mutex mutex_;
  std::condition_variable_any stopped_;
  IndexerStats stats_;  // guarded by mutex_
  Lsn next_lsn_ = 1;
  std::chrono::steady_clock::time_point next_retention_{}, last_flush_{};
};

// Rebuilds the index from the journal into a new directory beside options.directory and swaps the
// two. The index must not be open. `progress` (may be empty) is told the LSN now and then.
Result<StoreStats> Reindex(Journal& journal, const SqliteStoreOptions& options,
                           const std::function<void(Lsn)>& progress);

// Opens the index; where its schema version is another one or it is too damaged to open, rebuilds
// it from the journal.
Result<std::unique_ptr<EvidenceStore>> OpenOrReindex(Journal& journal,
                                                     const SqliteStoreOptions& options);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_INDEXER_H_
