// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/alert_queue.h"

#include <algorithm>

namespace culprit {
namespace {

constexpr int kVersion = 1;
constexpr const char* kSchema =
    "CREATE TABLE target(name TEXT PRIMARY KEY, cursor INTEGER NOT NULL, delivered INTEGER NOT "
    "NULL,"
    " lost INTEGER NOT NULL, last_success_ns INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE told(target TEXT NOT NULL, finding TEXT NOT NULL, severity INTEGER NOT NULL,"
    " open INTEGER NOT NULL, PRIMARY KEY(target, finding)) WITHOUT ROWID;"
    // Ids are never used twice: a worker remembers those that it has delivered.
    "CREATE TABLE alert(id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL,"
    " severity INTEGER NOT NULL, queued_ns INTEGER NOT NULL, body BLOB NOT NULL);";

}  // namespace

Result<std::unique_ptr<AlertQueue>> AlertQueue::Open(const std::string& path) {
  TRY(SqliteDb db, OpenSqliteTables(path, {kSchema, kVersion,
                                           "move it away; alerts that wait in "
                                           "it are not sent then, the findings stay"}));
  std::unique_ptr<AlertQueue> queue(new AlertQueue(std::move(db)));
  TRY_VOID(queue->Load());
  return queue;
}

Status AlertQueue::Load() {
  MutexLock lock(&mutex_);
  TRY(SqliteStatement names,
      db_.Prepare("SELECT name FROM target UNION SELECT DISTINCT target FROM alert"));
  for (;;) {
    TRY(const bool more, names.Step());
    if (!more) break;
    targets_[std::string(names.Blob(0))].stale = true;
  }
  for (auto& [name, target] : targets_) {
    TRY_VOID(Reload(name, &target));
    Publish(name, &target);
  }
  return Ok();
}

Status AlertQueue::Reload(const std::string& name, Target* target) {
  Target fresh;
  fresh.max_queued = target->max_queued;
  TRY(SqliteStatement row,
      db_.Prepare("SELECT cursor, delivered, lost, last_success_ns FROM target WHERE name = ?1"));
  row.BindText(1, name);
  TRY(const bool there, row.Step());
  if (there) {
    fresh.counts.cursor = row.UInt(0);
    fresh.counts.delivered = row.UInt(1);
    fresh.counts.lost = row.UInt(2);
    fresh.counts.last_success_ns = row.Int(3);
  }
  TRY(SqliteStatement alerts,
      db_.Prepare("SELECT id, severity, queued_ns FROM alert WHERE target = ?1"));
  alerts.BindText(1, name);
  for (;;) {
    TRY(const bool more, alerts.Step());
    if (!more) break;
    const int severity = static_cast<int>(alerts.Int(1));
    fresh.waiting[alerts.Int(0)] = {alerts.Int(2), severity};
    fresh.by_severity.emplace(severity, alerts.Int(0));
  }
  *target = std::move(fresh);
  return Ok();
}

Status AlertQueue::Transact(const std::string& name, const std::function<Status(Target*)>& change) {
  Target& target = targets_[name];
  if (target.stale) TRY_VOID(Reload(name, &target));
  TRY_VOID(db_.Exec("BEGIN IMMEDIATE"));
  Status done = change(&target);
  if (done) done = WriteTarget(name, target);
  if (done) done = db_.Exec("COMMIT");
  if (!done) {
    static_cast<void>(db_.Exec("ROLLBACK"));  // some errors have done so already
    target.stale = true;
    return done;
  }
  Publish(name, &target);
  return Ok();
}

void AlertQueue::Publish(const std::string& name, Target* target) {
  AlertCounts& counts = target->counts;
  counts.queued = target->waiting.size();
  counts.oldest_ns = target->waiting.empty() ? 0 : target->waiting.begin()->second.queued_ns;
  MutexLock lock(&counts_mutex_);
  counts_[name] = counts;
}

Status AlertQueue::WriteTarget(const std::string& name, const Target& target) {
  TRY(SqliteStatement statement,
      db_.Prepare("INSERT OR REPLACE INTO target VALUES(?1, ?2, ?3, ?4, ?5)"));
  statement.BindText(1, name);
  statement.Bind(2, target.counts.cursor);
  statement.Bind(3, target.counts.delivered);
  statement.Bind(4, target.counts.lost);
  statement.Bind(5, target.counts.last_success_ns);
  return statement.Run();
}

Status AlertQueue::Register(const std::string& name, std::uint64_t cursor,
                            std::uint32_t max_queued) {
  MutexLock lock(&mutex_);
  const bool known = targets_.contains(name);
  return Transact(name, [&](Target* target) CULPRIT_REQUIRES(mutex_) {
    target->max_queued = max_queued;
    // New; or the findings' file is another one than before, whose numbers begin anew.
    if (!known) target->counts.cursor = cursor;
    if (target->counts.cursor > cursor) target->counts.cursor = 0;
    return DropOver(target);
  });
}

Result<std::optional<Told>> AlertQueue::ToldOf(const std::string& name,
                                               const std::string& finding) {
  MutexLock lock(&mutex_);
  TRY(SqliteStatement statement,
      db_.Prepare("SELECT severity, open FROM told WHERE target = ?1 AND finding = ?2"));
  statement.BindText(1, name);
  statement.BindText(2, finding);
  TRY(const bool there, statement.Step());
  if (!there) return std::optional<Told>();
  return std::optional<Told>({static_cast<v1::Severity>(statement.Int(0)), statement.Int(1) != 0});
}

Status AlertQueue::Insert(const std::string& name, const v1::Alert& alert, Target* target) {
  v1::Alert queued = alert;
  queued.set_lost_before(target->counts.lost);
  const int severity =
      alert.event() == v1::ALERT_EVENT_TEST ? 0 : static_cast<int>(alert.finding().severity());
  const std::string body = queued.SerializeAsString();
  TRY(SqliteStatement statement,
      db_.Prepare("INSERT INTO alert(target, severity, queued_ns, body) VALUES(?1, ?2, ?3, ?4)"));
  statement.BindText(1, name);
  statement.Bind(2, severity);
  statement.Bind(3, queued.queued_ns());
  statement.BindBlob(4, body);
  TRY_VOID(statement.Run());
  TRY(const std::int64_t id, db_.QueryInt("SELECT last_insert_rowid()"));
  target->waiting[id] = {queued.queued_ns(), severity};
  target->by_severity.emplace(severity, id);
  return DropOver(target);
}

Status AlertQueue::DropOver(Target* target) {
  while (target->waiting.size() > target->max_queued) {
    const auto victim =
        std::find_if(target->by_severity.begin(), target->by_severity.end(),
                     [&](const auto& one) { return one.second != target->in_flight; });
    if (victim == target->by_severity.end()) return Ok();
    TRY_VOID(Remove(victim->second, target));
    ++target->counts.lost;
  }
  return Ok();
}

Status AlertQueue::Remove(std::int64_t id, Target* target) {
  const auto found = target->waiting.find(id);
  if (found == target->waiting.end()) return Ok();
  TRY(SqliteStatement statement, db_.Prepare("DELETE FROM alert WHERE id = ?1"));
  statement.Bind(1, id);
  TRY_VOID(statement.Run());
  target->by_severity.erase({found->second.severity, id});
  target->waiting.erase(found);
  return Ok();
}

Status AlertQueue::Put(const std::string& name, const std::vector<AlertEntry>& entries,
                       std::uint64_t cursor) {
  MutexLock lock(&mutex_);
  return Transact(name, [&](Target* target) CULPRIT_REQUIRES(mutex_) -> Status {
    target->counts.cursor = cursor;
    for (const AlertEntry& entry : entries) {
      TRY(SqliteStatement told, db_.Prepare("INSERT OR REPLACE INTO told VALUES(?1, ?2, ?3, ?4)"));
      told.BindText(1, name);
      told.BindText(2, entry.finding);
      told.Bind(3, static_cast<int>(entry.told.severity));
      told.Bind(4, entry.told.open ? 1 : 0);
      TRY_VOID(told.Run());
      if (entry.alert) TRY_VOID(Insert(name, *entry.alert, target));
    }
    return Ok();
  });
}

Status AlertQueue::PutTest(const std::string& name, const v1::Alert& alert) {
  MutexLock lock(&mutex_);
  return Transact(
      name, [&](Target* target) CULPRIT_REQUIRES(mutex_) { return Insert(name, alert, target); });
}

Result<std::optional<QueuedAlert>> AlertQueue::Head(const std::string& name) {
  MutexLock lock(&mutex_);
  Target& target = targets_[name];
  if (target.stale) TRY_VOID(Reload(name, &target));
  while (!target.waiting.empty()) {
    QueuedAlert head;
    head.id = target.waiting.begin()->first;
    TRY(SqliteStatement statement, db_.Prepare("SELECT body FROM alert WHERE id = ?1"));
    statement.Bind(1, head.id);
    TRY(const bool there, statement.Step());
    if (there && head.alert.ParseFromString(std::string(statement.Blob(0)))) {
      target.in_flight = head.id;
      return std::optional<QueuedAlert>(std::move(head));
    }
    // A row that went bad stops no other.
    TRY_VOID(Leave(name, head.id, [](AlertCounts* counts) { ++counts->lost; }));
  }
  return std::optional<QueuedAlert>();
}

Status AlertQueue::Leave(const std::string& name, std::int64_t id,
                         const std::function<void(AlertCounts*)>& count) {
  return Transact(name, [&](Target* target) CULPRIT_REQUIRES(mutex_) -> Status {
    TRY_VOID(Remove(id, target));
    target->in_flight = 0;
    count(&target->counts);
    return Ok();
  });
}

Status AlertQueue::Delivered(const std::string& name, std::int64_t id, WallTime now) {
  MutexLock lock(&mutex_);
  return Leave(name, id, [now](AlertCounts* counts) {
    ++counts->delivered;
    counts->last_success_ns = ToNs(now);
  });
}

Status AlertQueue::GiveUp(const std::string& name, std::int64_t id) {
  MutexLock lock(&mutex_);
  return Leave(name, id, [](AlertCounts* counts) { ++counts->lost; });
}

std::map<std::string, AlertCounts> AlertQueue::counts() const {
  MutexLock lock(&counts_mutex_);
  return counts_;
}

AlertCounts AlertQueue::CountsOf(const std::string& name) const {
  MutexLock lock(&counts_mutex_);
  const auto found = counts_.find(name);
  return found == counts_.end() ? AlertCounts{} : found->second;
}

}  // namespace culprit
