// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/finding_store.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "collector/detect/programs.h"
#include "collector/sqlite/sqlite_db.h"
#include "common/ascii.h"
#include "common/mutex.h"
#include "common/net_address.h"

namespace culprit {
namespace {

constexpr int kVersion = 1;
constexpr std::int64_t kEpisodeGapNs = 3'600'000'000'000;
constexpr const char* kSchema =
    "CREATE TABLE finding(id TEXT PRIMARY KEY, change INTEGER NOT NULL, agent TEXT NOT NULL, host "
    "TEXT NOT NULL,"
    " rule TEXT NOT NULL, subject TEXT NOT NULL, severity INTEGER NOT NULL, state INTEGER NOT NULL,"
    " first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX finding_episode ON finding(agent, rule, subject, last_ns);"
    "CREATE INDEX finding_last ON finding(last_ns);"
    "CREATE INDEX finding_change ON finding(change);"
    "CREATE TABLE suppression(rule TEXT NOT NULL, exe TEXT NOT NULL, target TEXT NOT NULL, finding "
    "TEXT NOT NULL,"
    " PRIMARY KEY(rule, exe, target)) WITHOUT ROWID;"
    "CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO state VALUES('lsn', 0), ('change', 0);";

// Files of before this table was there get it, too.
constexpr const char* kSeenSchema =
    "CREATE TABLE IF NOT EXISTS seen(agent BLOB NOT NULL, kind INTEGER NOT NULL, name BLOB NOT "
    "NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, PRIMARY KEY(agent, kind, name)) "
    "WITHOUT ROWID;";
constexpr std::int64_t kSeenKeptNs = 90LL * 24 * 3'600'000'000'000;

// What a later program must have in common with one that was judged; empty = it cannot be told.
// A path or a name can be taken by anybody, a hash cannot; what a tool does is in its arguments.
std::string ProgramKey(const v1::Finding& finding) {
  if (finding.exe_sha256().empty()) return "";
  std::string key = finding.exe_sha256() + " " + std::string(WithoutDeleted(finding.exe()));
  if (IsGeneralTool(finding.exe())) key += " " + finding.command_line();
  return key;
}

// A scan has a network, everything else the very addresses.
std::set<std::string> TargetKeys(const v1::Finding& finding) {
  std::set<std::string> keys;
  for (const v1::Target& target : finding.targets()) {
    const auto address = IpAddress::Parse(target.address());
    if (finding.rule() != "scan" || !address) {
      keys.insert(target.address());
      continue;
    }
    const Cidr block{*address, static_cast<std::uint8_t>(address->IsV4() ? 96 + 16 : 48)};
    keys.insert(block.First().ToString() + " and around");
  }
  if (keys.empty()) keys.insert("");
  return keys;
}

// What the operator decided stays; what the evidence says is replaced by what is newer.
void Merge(const v1::Finding& next, v1::Finding* kept) {
  const v1::Finding before = *kept;
  if (next.last_lsn() >= before.last_lsn()) *kept = next;
  kept->set_id(before.id());
  kept->set_first_ns(std::min(before.first_ns(), kept->first_ns()));
  kept->set_last_ns(std::max(before.last_ns(), kept->last_ns()));
  kept->set_trigger_ns(before.trigger_ns());
  kept->set_trigger_lsn(before.trigger_lsn());
  kept->set_severity(std::max(before.severity(), kept->severity()));
  kept->set_state(before.state());
  kept->set_state_reason(before.state_reason());
  kept->set_state_by(before.state_by());
  kept->set_state_ns(before.state_ns());
  kept->set_stored_ns(before.stored_ns());
}

class SqliteFindingStore final : public FindingStore {
 public:
  explicit SqliteFindingStore(SqliteDb db) : db_(std::move(db)) {}

  Status Load() {
    MutexLock lock(&mutex_);
    TRY(const std::int64_t lsn, db_.QueryInt("SELECT value FROM state WHERE key = 'lsn'"));
    TRY(const std::int64_t change, db_.QueryInt("SELECT value FROM state WHERE key = 'change'"));
    committed_ = static_cast<Lsn>(lsn);
    change_ = visible_ = static_cast<std::uint64_t>(change);
    return Ok();
  }

  Status Put(v1::Finding finding, WallTime now) override {
    MutexLock lock(&mutex_);
    return Whole(PutLocked(std::move(finding), now));
  }

  Status PutSeen(const std::vector<SeenRow>& rows) override {
    MutexLock lock(&mutex_);
    return rows.empty() ? Ok() : Whole(PutSeenLocked(rows));
  }
  Result<std::vector<SeenRow>> LoadSeen() override {
    MutexLock lock(&mutex_);
    TRY(const std::int64_t newest, db_.QueryInt("SELECT max(last_ns) FROM seen"));
    TRY_VOID(
        db_.Exec(fmt::format("DELETE FROM seen WHERE last_ns < {}", newest - kSeenKeptNs).c_str()));
    TRY(SqliteStatement statement,
        db_.Prepare("SELECT agent, kind, name, first_ns, last_ns FROM seen"));
    std::vector<SeenRow> rows;
    for (;;) {
      TRY(const bool more, statement.Step());
      if (!more) return rows;
      TRY(const Uuid agent, Uuid::FromBytes(statement.Blob(0)));
      const std::uint32_t kind = statement.U32(1);
      if (kind >= kSeenKinds) continue;
      rows.push_back({agent, static_cast<SeenKind>(kind), std::string(statement.Blob(2)),
                      statement.Time(3), statement.Time(4), false});
    }
  }

  Status Commit(Lsn lsn) override {
    MutexLock lock(&mutex_);
    if (lsn == committed_ && !in_transaction_) return Ok();
    return Whole(CommitLocked(lsn));
  }
  Lsn committed() const override {
    MutexLock lock(&mutex_);
    return committed_;
  }

  Result<std::vector<v1::Finding>> List(const FindingQuery& query) const override {
    MutexLock lock(&mutex_);
    TRY(SqliteStatement statement,
        db_.Prepare("SELECT body, change FROM finding WHERE last_ns >= "
                    "?1 AND severity >= ?2 AND change > ?3"
                    " AND (?4 = '' OR rule = ?4) AND (?5 IN ('', host, agent))"
                    " AND substr(id, 1, length(?6)) = ?6"
                    " ORDER BY last_ns DESC"));
    statement.Bind(1, ToNs(query.since));
    statement.Bind(2, static_cast<int>(query.min_severity));
    statement.Bind(3, query.changed_after);
    statement.BindText(4, query.rule);
    statement.BindText(5, query.host);
    statement.BindText(6, query.id);
    std::vector<v1::Finding> found;
    for (;;) {
      TRY(const bool more, statement.Step());
      if (!more || found.size() >= query.limit) return found;
      v1::Finding finding;
      if (!finding.ParseFromString(std::string(statement.Blob(0)))) continue;
      const auto& states = query.states;
      if (!states.empty() &&
          std::find(states.begin(), states.end(), finding.state()) == states.end())
        continue;
      found.push_back(std::move(finding));
    }
  }

  Result<std::vector<FindingChange>> Changes(std::uint64_t after,
                                             std::uint32_t limit) const override {
    MutexLock lock(&mutex_);
    TRY(SqliteStatement statement,
        db_.Prepare("SELECT change, body FROM finding WHERE change > ?1 AND change <= ?2"
                    " ORDER BY change LIMIT ?3"));
    statement.Bind(1, after);
    statement.Bind(2, visible_);
    statement.Bind(3, limit);
    std::vector<FindingChange> changes;
    for (;;) {
      TRY(const bool more, statement.Step());
      if (!more) return changes;
      FindingChange& change = changes.emplace_back();
      change.number = statement.UInt(0);
      if (!change.finding.ParseFromString(std::string(statement.Blob(1)))) changes.pop_back();
    }
  }

  Result<v1::Finding> Decide(const std::string& id, const FindingDecision& decision) override {
    MutexLock lock(&mutex_);
    TRY(std::optional<v1::Finding> finding, FindById(id));
    if (!finding) return NotFound("there is no finding " + id);
    TRY_VOID(Begin());
    finding->set_state(decision.state);
    finding->set_state_reason(decision.reason);
    finding->set_state_by(decision.by);
    finding->set_state_ns(ToNs(decision.at));
    TRY_VOID(SetSuppression(*finding));
    TRY_VOID(Write(*finding));
    TRY_VOID(End());
    return *finding;
  }

  std::uint64_t WaitChange(std::uint64_t seen, std::chrono::milliseconds timeout) const override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    MutexLock lock(&mutex_);
    while (visible_ <= seen) {
      if (!changed_.WaitUntil(&mutex_, deadline)) break;
    }
    return visible_;
  }

 private:
  // What failed in the middle is undone, with all since the last commit: it will be put again.
  Status Whole(Status status) CULPRIT_REQUIRES(mutex_) {
    if (!status && std::exchange(in_transaction_, false)) static_cast<void>(db_.Exec("ROLLBACK"));
    return status;
  }
  Status PutLocked(v1::Finding finding, WallTime now) CULPRIT_REQUIRES(mutex_) {
    TRY_VOID(Begin());
    TRY(std::optional<v1::Finding> kept, FindSame(finding));
    if (kept) {
      Merge(finding, &*kept);
    } else {
      kept = std::move(finding);
      kept->set_stored_ns(ToNs(now));
    }
    TRY_VOID(Suppress(&*kept));
    return Write(*kept);
  }
  Status CommitLocked(Lsn lsn) CULPRIT_REQUIRES(mutex_) {
    TRY_VOID(Begin());
    TRY_VOID(SetState("lsn", lsn));
    TRY_VOID(End());
    committed_ = lsn;
    return Ok();
  }
  Status Begin() CULPRIT_REQUIRES(mutex_) {
    if (in_transaction_) return Ok();
    TRY_VOID(db_.Exec("BEGIN IMMEDIATE"));
    in_transaction_ = true;
    return Ok();
  }
  Status End() CULPRIT_REQUIRES(mutex_) {
    TRY_VOID(SetState("change", change_));
    TRY_VOID(db_.Exec("COMMIT"));
    in_transaction_ = false;
    visible_ = change_;
    changed_.NotifyAll();
    return Ok();
  }
  Status SetState(const char* key, std::uint64_t value) CULPRIT_REQUIRES(mutex_) {
    TRY(SqliteStatement statement, db_.Prepare("UPDATE state SET value = ?2 WHERE key = ?1"));
    statement.BindText(1, key);
    statement.Bind(2, value);
    return statement.Run();
  }

  Result<std::optional<v1::Finding>> Read(SqliteStatement* statement) const
      CULPRIT_REQUIRES(mutex_) {
    TRY(const bool there, statement->Step());
    v1::Finding finding;
    if (!there || !finding.ParseFromString(std::string(statement->Blob(0))))
      return std::optional<v1::Finding>();
    return std::optional<v1::Finding>(std::move(finding));
  }
  Result<std::optional<v1::Finding>> FindById(const std::string& id) const
      CULPRIT_REQUIRES(mutex_) {
    TRY(SqliteStatement statement, db_.Prepare("SELECT body FROM finding WHERE id = ?1"));
    statement.BindText(1, id);
    return Read(&statement);
  }
  Result<std::optional<v1::Finding>> FindSame(const v1::Finding& finding) const
      CULPRIT_REQUIRES(mutex_) {
    TRY(std::optional<v1::Finding> same, FindById(finding.id()));
    if (same) return same;
    TRY(SqliteStatement statement,
        db_.Prepare("SELECT body FROM finding WHERE agent = ?1 AND rule = ?2 AND subject = ?3 AND "
                    "last_ns >= ?4"
                    " AND first_ns <= ?5 ORDER BY last_ns DESC LIMIT 1"));
    statement.BindText(1, finding.agent_id());
    statement.BindText(2, finding.rule());
    statement.BindText(3, finding.subject());
    statement.Bind(4, finding.first_ns() - kEpisodeGapNs);
    statement.Bind(5, finding.first_ns());
    return Read(&statement);
  }

  // A new one, and one that moved on to more targets.
  Status Suppress(v1::Finding* finding) const CULPRIT_REQUIRES(mutex_) {
    const std::string program = ProgramKey(*finding);
    if (program.empty()) return Ok();
    const bool is_false = finding->state() == v1::FINDING_STATE_FALSE_POSITIVE;
    if (!is_false && finding->state() != v1::FINDING_STATE_OPEN) return Ok();
    std::string as;
    for (const std::string& target : TargetKeys(*finding)) {
      TRY(SqliteStatement statement,
          db_.Prepare(
              "SELECT finding FROM suppression WHERE rule = ?1 AND exe = ?2 AND target = ?3"));
      statement.BindText(1, finding->rule());
      statement.BindText(2, program);
      statement.BindText(3, target);
      TRY(const bool there, statement.Step());
      if (!there) return is_false ? Reopen(finding) : Ok();
      as = statement.Blob(0);
    }
    // Whoever opened it again knows better.
    if (is_false || !finding->state_by().empty()) return Ok();
    finding->set_state(v1::FINDING_STATE_FALSE_POSITIVE);
    finding->set_state_reason("as finding " + as);
    return Ok();
  }
  static Status Reopen(v1::Finding* finding) {
    finding->set_state(v1::FINDING_STATE_OPEN);
    finding->set_state_reason("was called a false positive, and went on to other targets");
    finding->clear_state_by();
    return Ok();
  }
  Status SetSuppression(const v1::Finding& finding) CULPRIT_REQUIRES(mutex_) {
    const std::string program = ProgramKey(finding);
    if (program.empty()) return Ok();  // nothing to tell the next one by
    const bool on = finding.state() == v1::FINDING_STATE_FALSE_POSITIVE;
    for (const std::string& target : TargetKeys(finding)) {
      TRY(SqliteStatement statement,
          db_.Prepare(on ? "INSERT OR REPLACE INTO suppression VALUES(?1, ?2, ?3, ?4)"
                         : "DELETE FROM suppression WHERE rule = ?1 AND exe = ?2 AND target = ?3 "
                           "AND finding = ?4"));
      statement.BindText(1, finding.rule());
      statement.BindText(2, program);
      statement.BindText(3, target);
      statement.BindText(4, finding.id());
      TRY_VOID(statement.Run());
    }
    return Ok();
  }

  Status WriteSeen(const SeenRow& row) CULPRIT_REQUIRES(mutex_) {
    const char* sql =
        "INSERT INTO seen VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET first_ns = "
        "min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns)";
    if (row.gone) {
      sql = row.kind == SeenKind::kHost ? "DELETE FROM seen WHERE agent = ?1"
                                        : "DELETE FROM seen WHERE agent = ?1 AND kind = ?2 AND "
                                          "name = ?3";
    }
    TRY(SqliteStatement statement, db_.Prepare(sql));
    statement.BindBlob(1, row.agent.AsBytes());
    if (!row.gone || row.kind != SeenKind::kHost) {
      statement.Bind(2, static_cast<int>(row.kind));
      statement.BindBlob(3, row.name);
    }
    if (!row.gone) {
      statement.Bind(4, row.first);
      statement.Bind(5, row.last);
    }
    return statement.Run();
  }
  Status PutSeenLocked(const std::vector<SeenRow>& rows) CULPRIT_REQUIRES(mutex_) {
    TRY_VOID(Begin());
    for (const SeenRow& row : rows) TRY_VOID(WriteSeen(row));
    return Ok();
  }

  Status Write(const v1::Finding& finding) CULPRIT_REQUIRES(mutex_) {
    TRY(SqliteStatement statement,
        db_.Prepare(
            "INSERT OR REPLACE INTO finding VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"));
    const std::string body = finding.SerializeAsString();
    statement.BindText(1, finding.id());
    statement.Bind(2, ++change_);
    statement.BindText(3, finding.agent_id());
    statement.BindText(4, finding.host());
    statement.BindText(5, finding.rule());
    statement.BindText(6, finding.subject());
    statement.Bind(7, static_cast<int>(finding.severity()));
    statement.Bind(8, static_cast<int>(finding.state()));
    statement.Bind(9, finding.first_ns());
    statement.Bind(10, finding.last_ns());
    statement.BindBlob(11, body);
    return statement.Run();
  }

  mutable Mutex mutex_;
  mutable CondVar changed_;
  SqliteDb db_ CULPRIT_GUARDED_BY(mutex_);
  bool in_transaction_ CULPRIT_GUARDED_BY(mutex_) = false;
  Lsn committed_ CULPRIT_GUARDED_BY(mutex_) = 0;
  std::uint64_t change_ CULPRIT_GUARDED_BY(mutex_) = 0, visible_ CULPRIT_GUARDED_BY(mutex_) = 0;
};

}  // namespace

Result<std::unique_ptr<FindingStore>> OpenFindingStore(const std::string& path) {
  TRY(SqliteDb db,
      OpenSqliteTables(path, {kSchema, kVersion,
                              "move it away; findings are made "
                              "anew from the journal, without what was decided about them"}));
  TRY_VOID(db.Exec(kSeenSchema));
  auto store = std::make_unique<SqliteFindingStore>(std::move(db));
  TRY_VOID(store->Load());
  return std::unique_ptr<FindingStore>(std::move(store));
}

}  // namespace culprit
