// SPDX-License-Identifier: Apache-2.0
#include "collector/sqlite/sqlite_db.h"

#include <sqlite3.h>

#include <cstring>
#include <utility>

namespace culprit {
namespace {

Code CodeOf(int rc) {
  switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kDataLoss;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Code::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kUnavailable;
    case SQLITE_INTERRUPT:
      return Code::kCancelled;
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return Code::kPermissionDenied;
    case SQLITE_CANTOPEN:
      return Code::kNotFound;
    default:
      return Code::kInternal;
  }
}

Error SqliteError(sqlite3* db, int rc) {
  std::string what = db == nullptr ? sqlite3_errstr(rc) : sqlite3_errmsg(db);
  return MakeError(CodeOf(rc), "sqlite: " + std::move(what));
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteStatement::Bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
}

void SqliteStatement::BindNull(int index) { sqlite3_bind_null(statement_.get(), index); }

void SqliteStatement::BindBlob(int index, std::string_view bytes) {
  // A null pointer would bind NULL.
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC);
}

void SqliteStatement::BindText(int index, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
}

void SqliteStatement::Bind(int index, const IpAddress& address) {
  const auto& b = address.bytes();
  if (address.IsV4()) {
    Bind(index, (std::int64_t{b[12]} << 24) | (std::int64_t{b[13]} << 16) |
                    (std::int64_t{b[14]} << 8) | std::int64_t{b[15]});
    return;
  }
  sqlite3_bind_blob64(statement_.get(), index, b.data(), b.size(), SQLITE_TRANSIENT);
}

Result<bool> SqliteStatement::Step() {
  const int rc = sqlite3_step(statement_.get());
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return SqliteError(sqlite3_db_handle(statement_.get()), rc);
}

Status SqliteStatement::Run() {
  auto row = Step();
  Reset();
  if (!row) return std::move(row).error();
  return Ok();
}

void SqliteStatement::Reset() { sqlite3_reset(statement_.get()); }

std::int64_t SqliteStatement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view SqliteStatement::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return data == nullptr ? std::string_view()
                         : std::string_view(static_cast<const char*>(data), size);
}

IpAddress SqliteStatement::Address(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_INTEGER) {
    const auto v = static_cast<std::uint32_t>(Int(column));
    const std::uint8_t bytes[4] = {static_cast<std::uint8_t>(v >> 24),
                                   static_cast<std::uint8_t>(v >> 16),
                                   static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
    return IpAddress::FromV4Bytes(bytes);
  }
  auto address = IpAddress::FromBytes(Blob(column));
  return address ? *address : IpAddress{};
}

void SqliteDb::CloseDb::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

Result<SqliteDb> SqliteDb::Open(const std::string& path, Mode mode) {
  int flags = SQLITE_OPEN_NOMUTEX;
  flags |= mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == Mode::kCreate) flags |= SQLITE_OPEN_CREATE;
  sqlite3* raw = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  SqliteDb db;
  db.db_.reset(raw);
  if (rc != SQLITE_OK) return SqliteError(raw, rc).Context(path);
  sqlite3_busy_timeout(raw, 5000);
  return db;
}

Status SqliteDb::Exec(const char* sql) {
  const int rc = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return SqliteError(db_.get(), rc);
  return Ok();
}

Result<SqliteStatement> SqliteDb::Prepare(std::string_view sql) const {
  sqlite3_stmt* raw = nullptr;
  const int rc = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                    SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (rc != SQLITE_OK) return SqliteError(db_.get(), rc);
  return SqliteStatement(raw);
}

Result<std::int64_t> SqliteDb::QueryInt(std::string_view sql) const {
  TRY(SqliteStatement statement, Prepare(sql));
  TRY(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

Result<SqliteDb> OpenSqliteTables(const std::string& path, const SqliteTables& tables) {
  TRY(SqliteDb db, SqliteDb::Open(path, SqliteDb::Mode::kCreate));
  TRY_VOID(db.Exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"));
  TRY(const std::int64_t version, db.QueryInt("PRAGMA user_version"));
  const std::string known = std::to_string(tables.version);
  if (version == 0) {
    TRY_VOID(db.Exec("BEGIN"));
    TRY_VOID(db.Exec(tables.schema));
    TRY_VOID(db.Exec(("PRAGMA user_version=" + known + "; COMMIT").c_str()));
  } else if (version != tables.version) {
    return FailedPrecondition(path + " is of version " + std::to_string(version) +
                              ", this program knows " + known + ": " + tables.remedy);
  }
  return db;
}

}  // namespace culprit
