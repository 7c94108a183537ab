// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/enrol_store.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "collector/sqlite/sqlite_db.h"
#include "common/hex.h"
#include "common/mutex.h"
#include "common/text.h"

namespace culprit {
namespace {

constexpr int kVersion = 1;
constexpr const char* kSchema =
    "CREATE TABLE token(hash TEXT PRIMARY KEY, note TEXT NOT NULL, host TEXT NOT NULL,"
    " uses INTEGER NOT NULL, max_uses INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE host(host_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    " binding TEXT NOT NULL, method TEXT NOT NULL, key TEXT NOT NULL, enrolled INTEGER NOT NULL, "
    "renewed INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL, revoked INTEGER NOT NULL, revoked_why TEXT NOT NULL,"
    " again INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE revoked(what TEXT PRIMARY KEY, at INTEGER NOT NULL, why TEXT NOT NULL)"
    " WITHOUT ROWID;";
constexpr const char* kTokenColumns =
    "SELECT hash, note, host, uses, max_uses, created, expires, revoked FROM token ";
constexpr const char* kHostColumns =
    "SELECT host_id, agent_id, name, binding, method, key, enrolled, renewed, not_after, revoked,"
    " revoked_why, again FROM host ";

TokenRecord ReadToken(const SqliteStatement& row) {
  TokenRecord token;
  token.hash = row.Blob(0);
  token.note = row.Blob(1);
  token.host = row.Blob(2);
  token.uses = row.U32(3);
  token.max_uses = row.U32(4);
  token.created = row.Time(5);
  token.expires = row.Time(6);
  token.revoked = row.Time(7);
  return token;
}

EnrolledHost ReadHost(const SqliteStatement& row) {
  EnrolledHost host;
  host.host_id = row.Blob(0);
  if (const auto id = Uuid::Parse(row.Blob(1)); id) host.agent_id = *id;
  host.name = row.Blob(2);
  host.binding = row.Blob(3);
  host.method = row.Blob(4);
  host.key = row.Blob(5);
  host.enrolled = row.Time(6);
  host.renewed = row.Time(7);
  host.not_after = row.Time(8);
  host.revoked = row.Time(9);
  host.revoked_why = row.Blob(10);
  host.may_enrol_again = row.Int(11) != 0;
  return host;
}

bool IsFingerprint(const std::string& text) { return text.size() == 64 && HexDecode(text); }

class SqliteEnrolStore final : public EnrolStore {
 public:
  explicit SqliteEnrolStore(SqliteDb db) : db_(std::move(db)) {}

  Status AddToken(const TokenRecord& token) override {
    MutexLock lock(&mutex_);
    TRY(SqliteStatement insert,
        db_.Prepare("INSERT INTO token VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)"));
    insert.BindText(1, token.hash);
    insert.BindText(2, token.note);
    insert.BindText(3, token.host);
    insert.Bind(4, token.uses);
    insert.Bind(5, token.max_uses);
    insert.Bind(6, token.created);
    insert.Bind(7, token.expires);
    return insert.Run();
  }

  Result<std::optional<TokenRecord>> FindToken(std::string_view hash) override {
    MutexLock lock(&mutex_);
    TRY(SqliteStatement row, db_.Prepare(std::string(kTokenColumns) + "WHERE hash = ?1"));
    row.BindText(1, hash);
    TRY(const bool there, row.Step());
    return there ? std::optional(ReadToken(row)) : std::nullopt;
  }

  Result<std::vector<TokenRecord>> Tokens() override {
    MutexLock lock(&mutex_);
    return TokensWhere("ORDER BY created", "");
  }

  Result<TokenRecord> RevokeToken(std::string_view id, WallTime now) override {
    MutexLock lock(&mutex_);
    TRY(std::vector<TokenRecord> found, TokensWhere("WHERE substr(hash, 1, length(?1)) = ?1", id));
    const std::string name = EscapeText(id.substr(0, 64));
    if (id.empty() || found.empty()) return NotFound("there is no token " + name);
    if (found.size() > 1) {
      return InvalidArgument("several tokens begin with " + name + ": give more digits");
    }
    found[0].revoked = now;
    TRY(SqliteStatement update, db_.Prepare("UPDATE token SET revoked = ?2 WHERE hash = ?1"));
    update.BindText(1, found[0].hash);
    update.Bind(2, now);
    TRY_VOID(update.Run());
    return found[0];
  }

  Result<std::optional<EnrolledHost>> FindHost(std::string_view host_id) override {
    MutexLock lock(&mutex_);
    return HostWhere("host_id", host_id);
  }

  Result<std::vector<EnrolledHost>> Hosts() override {
    MutexLock lock(&mutex_);
    return HostsLocked();
  }

  Status Enrol(const EnrolledHost& host, std::string_view token_hash) override {
    MutexLock lock(&mutex_);
    TRY_VOID(db_.Exec("BEGIN IMMEDIATE"));
    Status status = EnrolLocked(host, token_hash);
    if (status) status = db_.Exec("COMMIT");
    if (!status) {
      static_cast<void>(db_.Exec("ROLLBACK"));
      return status;
    }
    return Load();
  }

  Status Renewed(const Uuid& agent_id, WallTime now, WallTime not_after) override {
    MutexLock lock(&mutex_);
    TRY(SqliteStatement update,
        db_.Prepare("UPDATE host SET renewed = ?2, not_after = ?3 WHERE agent_id = ?1"));
    const std::string id = agent_id.ToString();
    update.BindText(1, id);
    update.Bind(2, now);
    update.Bind(3, not_after);
    return update.Run();
  }

  Result<std::string> Revoke(const std::string& what, const std::string& why,
                             WallTime now) override {
    MutexLock lock(&mutex_);
    TRY(const std::optional<EnrolledHost> host, FindAny(what));
    if (host) {
      TRY(SqliteStatement update,
          db_.Prepare("UPDATE host SET revoked = ?2, revoked_why = ?3, again = 0"
                      " WHERE host_id = ?1"));
      update.BindText(1, host->host_id);
      update.Bind(2, now);
      update.BindText(3, why);
      TRY_VOID(update.Run());
      TRY_VOID(Load());
      return "host " + EscapeText(host->host_id) + ", agent " + host->agent_id.ToString();
    }
    if (!Uuid::Parse(what) && !IsFingerprint(what)) {
      return NotFound("no host \"" + EscapeText(what.substr(0, 64)) +
                      "\" has enrolled here; a certificate made by hand is revoked by its agent id "
                      "or SHA-256 (`culprit-collector hosts` lists what is known)");
    }
    TRY(SqliteStatement insert, db_.Prepare("INSERT OR REPLACE INTO revoked VALUES(?1, ?2, ?3)"));
    insert.BindText(1, what);
    insert.Bind(2, now);
    insert.BindText(3, why);
    TRY_VOID(insert.Run());
    TRY_VOID(Load());
    return (IsFingerprint(what) ? "certificate " : "agent ") + what;
  }

  Result<EnrolledHost> AllowAgain(const std::string& what) override {
    MutexLock lock(&mutex_);
    TRY(std::optional<EnrolledHost> host, FindAny(what));
    if (!host) return NotFound("no host \"" + EscapeText(what.substr(0, 64)) + "\" has enrolled");
    TRY(SqliteStatement update, db_.Prepare("UPDATE host SET again = 1 WHERE host_id = ?1"));
    update.BindText(1, host->host_id);
    TRY_VOID(update.Run());
    host->may_enrol_again = true;
    return std::move(*host);
  }

  Result<bool> Refresh() override {
    MutexLock lock(&mutex_);
    TRY(const std::int64_t version, db_.QueryInt("PRAGMA data_version"));
    if (version == data_version_) return false;
    TRY_VOID(Load());
    return true;
  }

  std::string WhyNotWelcome(const Uuid& agent_id, std::string_view key,
                            std::string_view certificate) const override {
    MutexLock lock(&mutex_);
    if (revoked_.contains(agent_id.ToString()) || revoked_.contains(std::string(certificate))) {
      return "this certificate was revoked";
    }
    const auto host = hosts_.find(agent_id);
    if (host == hosts_.end()) return {};
    if (host->second.revoked) return "this host was revoked: " + host->second.why;
    if (host->second.key != key) {
      return "this host has enrolled again with another key since: this certificate is its old one";
    }
    return {};
  }

  Status Load() CULPRIT_REQUIRES(mutex_) {
    TRY(data_version_, db_.QueryInt("PRAGMA data_version"));
    TRY(const std::vector<EnrolledHost> hosts, HostsLocked());
    hosts_.clear();
    for (const EnrolledHost& host : hosts) {
      hosts_[host.agent_id] = {host.key, ToNs(host.revoked) != 0, host.revoked_why};
    }
    TRY(SqliteStatement row, db_.Prepare("SELECT what FROM revoked"));
    revoked_.clear();
    for (;;) {
      TRY(const bool more, row.Step());
      if (!more) return Ok();
      revoked_.emplace(row.Blob(0));
    }
  }
  Status LoadFirst() {
    MutexLock lock(&mutex_);
    return Load();
  }

 private:
  struct Known {
    std::string key;
    bool revoked = false;
    std::string why;
  };

  Result<std::vector<TokenRecord>> TokensWhere(const char* where, std::string_view id)
      CULPRIT_REQUIRES(mutex_) {
    TRY(SqliteStatement row, db_.Prepare(std::string(kTokenColumns) + where));
    if (!id.empty()) row.BindText(1, id);
    std::vector<TokenRecord> out;
    for (;;) {
      TRY(const bool more, row.Step());
      if (!more) return out;
      out.push_back(ReadToken(row));
    }
  }
  Result<std::vector<EnrolledHost>> HostsLocked() CULPRIT_REQUIRES(mutex_) {
    TRY(SqliteStatement row, db_.Prepare(std::string(kHostColumns) + "ORDER BY enrolled, host_id"));
    std::vector<EnrolledHost> out;
    for (;;) {
      TRY(const bool more, row.Step());
      if (!more) return out;
      out.push_back(ReadHost(row));
    }
  }
  Result<std::optional<EnrolledHost>> HostWhere(const std::string& column, std::string_view value)
      CULPRIT_REQUIRES(mutex_) {
    TRY(SqliteStatement row, db_.Prepare(kHostColumns + ("WHERE " + column + " = ?1")));
    row.BindText(1, value);
    TRY(const bool there, row.Step());
    return there ? std::optional(ReadHost(row)) : std::nullopt;
  }
  Result<std::optional<EnrolledHost>> FindAny(const std::string& what) CULPRIT_REQUIRES(mutex_) {
    for (const char* column : {"host_id", "agent_id", "name"}) {
      TRY(std::optional<EnrolledHost> host, HostWhere(column, what));
      if (host) return host;
    }
    return std::optional<EnrolledHost>();
  }

  Status EnrolLocked(const EnrolledHost& host, std::string_view token_hash)
      CULPRIT_REQUIRES(mutex_) {
    if (!token_hash.empty()) {
      TRY(SqliteStatement use, db_.Prepare("UPDATE token SET uses = uses + 1 WHERE hash = ?1 AND"
                                           " uses < max_uses AND revoked = 0 RETURNING uses"));
      use.BindText(1, token_hash);
      TRY(const bool used, use.Step());
      if (!used) return FailedPrecondition("the token was used up just now");
      TRY(const bool more, use.Step());  // to its end, so that it counts
      static_cast<void>(more);
    }
    TRY(SqliteStatement insert,
        db_.Prepare("INSERT OR REPLACE INTO host VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, '', "
                    "0)"));
    const std::string agent_id = host.agent_id.ToString();
    insert.BindText(1, host.host_id);
    insert.BindText(2, agent_id);
    insert.BindText(3, host.name);
    insert.BindText(4, host.binding);
    insert.BindText(5, host.method);
    insert.BindText(6, host.key);
    insert.Bind(7, host.enrolled);
    insert.Bind(8, host.renewed);
    insert.Bind(9, host.not_after);
    return insert.Run();
  }

  mutable Mutex mutex_;
  SqliteDb db_ CULPRIT_GUARDED_BY(mutex_);
  std::int64_t data_version_ CULPRIT_GUARDED_BY(mutex_) = 0;
  std::unordered_map<Uuid, Known> hosts_ CULPRIT_GUARDED_BY(mutex_);
  std::unordered_set<std::string> revoked_ CULPRIT_GUARDED_BY(mutex_);
};

}  // namespace

Result<std::unique_ptr<EnrolStore>> EnrolStore::Open(const std::string& path) {
  TRY(SqliteDb db, SqliteDb::Open(path, SqliteDb::Mode::kCreate));
  TRY_VOID(db.Exec("PRAGMA synchronous = FULL"));
  TRY_VOID(db.Exec("BEGIN IMMEDIATE"));  // two that create it at once
  TRY(const std::int64_t version, db.QueryInt("PRAGMA user_version"));
  if (version == 0) {
    TRY_VOID(db.Exec(kSchema));
    TRY_VOID(db.Exec(fmt::format("PRAGMA user_version = {}", kVersion).c_str()));
  } else if (version != kVersion) {
    return FailedPrecondition(
        fmt::format("{} is of version {}, and this program knows {}: use the newer program", path,
                    version, kVersion));
  }
  TRY_VOID(db.Exec("COMMIT"));
  auto store = std::make_unique<SqliteEnrolStore>(std::move(db));
  TRY_VOID(store->LoadFirst());
  return store;
}

}  // namespace culprit
