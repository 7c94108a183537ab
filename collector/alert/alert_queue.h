// SPDX-License-Identifier: Apache-2.0
// AlertQueue: the alerts that wait for each target, what each target was told of each finding, and
// how far each has followed the findings, in a SQLite file of its own.
//
// Stage: alert (edge: a file). Thread: any; calls exclude each other, and counts() waits for no
// disk. What is put is on disk when Put() returns: alert, what the target was told and its mark go
// in one transaction, so a change of a finding is queued once, whenever the collector dies. An
// alert leaves the file after it was delivered: who dies in between delivers it again, with its
// key. Bounds: over its cap a target loses what is least severe, the oldest first, never what is
// being sent; each is counted in `lost`. Failure: errors are returned and change nothing.
#ifndef CULPRIT_COLLECTOR_ALERT_ALERT_QUEUE_H_
#define CULPRIT_COLLECTOR_ALERT_ALERT_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collector/alert/alert_rules.h"
#include "collector/sqlite/sqlite_db.h"
#include "common/mutex.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct QueuedAlert {
  std::int64_t id = 0;
  v1::Alert alert;
};

struct AlertCounts {
  std::uint64_t cursor = 0;  // number of the newest change of findings that was judged
  std::uint64_t queued = 0, delivered = 0, lost = 0;
  std::int64_t oldest_ns = 0, last_success_ns = 0;
};

// One change of a finding that a target is told, or is taken as told.
struct AlertEntry {
  std::string finding;
  Told told;
  std::optional<v1::Alert> alert;  // none: the target does not want this event
};

class AlertQueue {
 public:
  // Opens or creates. Errors: not writable, another version (with the remedy).
  static Result<std::unique_ptr<AlertQueue>> Open(const std::string& path);

  // Makes a target known: a new one hears of changes after `cursor`. `max_queued` > 0.
  Status Register(const std::string& target, std::uint64_t cursor, std::uint32_t max_queued);
  Result<std::optional<Told>> ToldOf(const std::string& target, const std::string& finding);
  // The changes up to `cursor` were judged, and these came of them.
  Status Put(const std::string& target, const std::vector<AlertEntry>& entries,
             std::uint64_t cursor);
  // Without a finding behind it.
  Status PutTest(const std::string& target, const v1::Alert& alert);

  // The oldest; it is not dropped until Delivered() or GiveUp(). None if nothing waits.
  Result<std::optional<QueuedAlert>> Head(const std::string& target);
  Status Delivered(const std::string& target, std::int64_t id, WallTime now);
  // Counted as lost.
  Status GiveUp(const std::string& target, std::int64_t id);

  // Every target of the file, registered or not.
  std::map<std::string, AlertCounts> counts() const;
  AlertCounts CountsOf(const std::string& target) const;

 private:
  struct Waiting {
    std::int64_t queued_ns = 0;
    int severity = 0;
  };
  struct Target {
    AlertCounts counts;
    std::uint32_t max_queued = 0;  // 0 = not registered
    std::int64_t in_flight = 0;
    std::map<std::int64_t, Waiting> waiting;             // by id
    std::set<std::pair<int, std::int64_t>> by_severity;  // severity, id
    bool stale = false;  // a change failed in the middle: what is on disk holds
  };

  explicit AlertQueue(SqliteDb db) : db_(std::move(db)) {}
  Status Load();
  Status Reload(const std::string& name, Target* target) CULPRIT_REQUIRES(mutex_);
  // Runs `change` as one transaction over the target as it is on disk.
  Status Transact(const std::string& name, const std::function<Status(Target*)>& change)
      CULPRIT_REQUIRES(mutex_);
  Status Insert(const std::string& name, const v1::Alert& alert, Target* target)
      CULPRIT_REQUIRES(mutex_);
  Status DropOver(Target* target) CULPRIT_REQUIRES(mutex_);
  Status Remove(std::int64_t id, Target* target) CULPRIT_REQUIRES(mutex_);
  Status Leave(const std::string& name, std::int64_t id,
               const std::function<void(AlertCounts*)>& count) CULPRIT_REQUIRES(mutex_);
  Status WriteTarget(const std::string& name, const Target& target) CULPRIT_REQUIRES(mutex_);
  void Publish(const std::string& name, Target* target) CULPRIT_REQUIRES(mutex_);

  mutable Mutex mutex_;
  SqliteDb db_ CULPRIT_GUARDED_BY(mutex_);
  std::map<std::string, Target> targets_ CULPRIT_GUARDED_BY(mutex_);
  mutable Mutex counts_mutex_;  // taken last, held for no I/O
  std::map<std::string, AlertCounts> counts_ CULPRIT_GUARDED_BY(counts_mutex_);
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_ALERT_QUEUE_H_
