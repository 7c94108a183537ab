// SPDX-License-Identifier: Apache-2.0
// RAII over the SQLite C API: a connection, a prepared statement, errors as Result.
// Stage: sqlite (edge, shared by those that keep tables). Thread: a connection and its statements belong to one thread at a time.
#ifndef CULPRIT_COLLECTOR_SQLITE_SQLITE_DB_H_
#define CULPRIT_COLLECTOR_SQLITE_SQLITE_DB_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/net_address.h"
#include "common/result.h"
#include "common/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace culprit {

class SqliteStatement {
 public:
  SqliteStatement() = default;
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  // Parameters count from 1. Blobs and texts are borrowed until the next Step() or Reset().
  void Bind(int index, std::int64_t value);
  void Bind(int index, std::uint64_t value) { Bind(index, static_cast<std::int64_t>(value)); }
  void Bind(int index, std::uint32_t value) { Bind(index, static_cast<std::int64_t>(value)); }
  void Bind(int index, int value) { Bind(index, static_cast<std::int64_t>(value)); }
  void Bind(int index, WallTime value) { Bind(index, ToNs(value)); }
  void BindNull(int index);
  void BindBlob(int index, std::string_view bytes);
  void BindText(int index, std::string_view text);
  // IPv4 as an integer, IPv6 as a blob of 16 bytes: both sort as addresses do.
  void Bind(int index, const IpAddress& address);

  // True = a row is there.
  Result<bool> Step();
  // Step() of a statement without rows, then Reset().
  Status Run();
  void Reset();

  // Columns count from 0.
  std::int64_t Int(int column) const;
  std::uint64_t UInt(int column) const { return static_cast<std::uint64_t>(Int(column)); }
  std::uint32_t U32(int column) const { return static_cast<std::uint32_t>(Int(column)); }
  WallTime Time(int column) const { return WallTimeFromNs(Int(column)); }
  std::string_view Blob(int column) const;  // valid until the next Step() or Reset()
  IpAddress Address(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteDb {
 public:
  enum class Mode : std::uint8_t { kReadOnly, kReadWrite, kCreate };
  SqliteDb() = default;
  static Result<SqliteDb> Open(const std::string& path, Mode mode);

  Status Exec(const char* sql);
  Result<SqliteStatement> Prepare(std::string_view sql) const;
  // First column of the first row; 0 without a row.
  Result<std::int64_t> QueryInt(std::string_view sql) const;
  bool is_open() const { return db_ != nullptr; }
  void Close() { db_.reset(); }

 private:
  struct CloseDb {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, CloseDb> db_;
};

// Tables of a file of their own.
struct SqliteTables {
  const char* schema;
  int version;
  const char* remedy;  // what to do with a file of another version
};

// A file whose commits outlive a kill and a power cut (write-ahead log, synced); a new one gets its
// tables. Errors: kFailedPrecondition for another version; what SQLite says.
Result<SqliteDb> OpenSqliteTables(const std::string& path, const SqliteTables& tables);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_SQLITE_SQLITE_DB_H_
