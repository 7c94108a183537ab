// SPDX-License-Identifier: Apache-2.0
// Writes one part file: a transaction per batch, rows sorted by the index, applied_lsn with them.
// Stage: store (edge). Thread: the index writer's. Failure: a transaction that fails leaves no trace; call again.
#ifndef CULPRIT_COLLECTOR_STORE_SQLITE_PART_WRITER_H_
#define CULPRIT_COLLECTOR_STORE_SQLITE_PART_WRITER_H_

#include <memory>
#include <string>
#include <vector>

#include "collector/store/pending_batch.h"
#include "collector/store/process_bloom.h"
#include "collector/sqlite/sqlite_db.h"

namespace culprit {

// What a part holds, for passing it over.
struct PartExtent {
  std::uint64_t rows = 0;
  Lsn first_lsn = 0, applied_lsn = 0;
  WallTime min_t0 = WallTime::max(), max_t1 = WallTime::min(), max_last = WallTime::min();
  std::chrono::nanoseconds max_dt{0};  // longest row
  WallTime min_named = WallTime::max(), max_named = WallTime::min();  // of names and questions
  WallTime created;  // collector's time of the first frame
  bool sealed = false;
};

// Reads it from an open part. Errors: kFailedPrecondition on another schema version, kDataLoss.
Result<PartExtent> ReadExtent(const SqliteDb& db);

class PartWriter {
 public:
  static Result<std::unique_ptr<PartWriter>> Create(const std::string& path, Lsn first_lsn,
                                                    WallTime created);
  static Result<std::unique_ptr<PartWriter>> Open(const std::string& path);

  // Writes `batch` and sets newest_row of the bases it points to.
  Status Write(PendingBatch* batch);
  // Bases of flows; `carried` = newest_row is of an older part. Outside of Write().
  Status PutBases(const std::vector<std::pair<FlowKey, FlowBase>>& bases, bool carried);
  Status PutHostsAndLosses(const std::map<std::uint32_t, HostRecord>& hosts,
                           const std::map<LossKey, LossValue>& losses);
  // Sessions that go on, or are not long over, and their logins, from the part at `path`.
  Status CopySessions(const std::string& path);
  // Bases that the part at `path` holds and that are in no memory.
  Status CopySpilled(const std::string& path);
  std::optional<FlowBase> FetchBase(const FlowKey& key);
  std::optional<MinuteActivity> FetchMinute(const MinuteKey& key);
  // Makes the file whole and durable; no more writes.
  Status Seal();

  const PartExtent& extent() const { return extent_; }
  SqliteDb& db() { return db_; }

 private:
  struct Chunk {
    std::int64_t first_row = 1, last_row = 0, first_counter = 1, last_counter = 0;
    WallTime min_t0 = WallTime::max(), max_t1 = WallTime::min(), max_last = WallTime::min();
    std::chrono::nanoseconds max_dt{0};
    ProcessBloom processes;
    std::int64_t rows() const { return last_row - first_row + last_counter - first_counter + 2; }
    void Cover(WallTime t0, WallTime t1, std::uint64_t process);
  };
  PartWriter() = default;
  Status Prepare();
  Status WriteAll(PendingBatch* batch, Chunk* chunk, std::vector<std::int64_t>* ids);
  Status WriteFlows(PendingBatch* batch, Chunk* chunk, std::vector<std::int64_t>* ids);
  Status WriteFlow(const PendingFlow& flow, std::int64_t id, std::int64_t prev);
  Result<std::int64_t> PrevOf(const PendingFlow& flow, const std::vector<std::int64_t>& ids);
  Status WriteCounters(const PendingBatch& batch, Chunk* chunk);
  Status WriteProcesses(const PendingBatch& batch);
  Status WriteMinutes(const PendingBatch& batch);
  Status WriteNames(const PendingBatch& batch);
  Status PrepareLogins();
  Status WriteLogins(const PendingBatch& batch);
  Status PreparePosture();
  Status WritePosture(const PendingBatch& batch);
  Status WriteChunk(const Chunk& chunk);
  Status WriteMeta(const char* key, std::int64_t value);
  Status PutBase(const FlowKey& key, const FlowBase& base, bool carried);

  SqliteDb db_;
  SqliteStatement flow_, name_, dns_, counter_, chunk_, process_, minute_, minute_get_, base_, base_get_,
      carried_, host_, loss_, meta_, session_, login_, login_failure_, posture_,
      posture_change_;
  PartExtent extent_;
  Chunk open_chunk_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_SQLITE_PART_WRITER_H_
