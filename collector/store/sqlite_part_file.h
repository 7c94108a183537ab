// SPDX-License-Identifier: Apache-2.0
// One part file as queries see it: its extent, and connections to read it with.
// Stage: store (edge). Thread: any. Shared: a query keeps the part alive while retention removes its file.
#ifndef CULPRIT_COLLECTOR_STORE_SQLITE_PART_FILE_H_
#define CULPRIT_COLLECTOR_STORE_SQLITE_PART_FILE_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collector/store/sqlite_part_writer.h"

namespace culprit {

class PartFile {
 public:
  PartFile(std::string path, const PartExtent& extent) : path_(std::move(path)), extent_(extent) {}

  // A connection for one thread at a time; goes back to the part when it is destroyed.
  class Lease {
   public:
    Lease(const PartFile* part, SqliteDb db) : part_(part), db_(std::move(db)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = default;
    ~Lease();
    const SqliteDb& operator*() const { return db_; }
    const SqliteDb* operator->() const { return &db_; }

   private:
    const PartFile* part_;
    SqliteDb db_;
  };
  Result<Lease> Open() const;
  // Closes idle connections.
  void Rest() const;

  std::uint64_t id() const { return extent_.first_lsn; }
  const std::string& path() const { return path_; }
  PartExtent extent() const;
  void SetExtent(const PartExtent& extent);
  std::uint64_t Bytes() const;  // on disk, write-ahead log included
  // The part is passed over from here on. Returns what damage() says: cause, what is missing, remedy.
  std::string SetDamageFrom(const std::string& cause) const;
  std::string damage() const;

 private:
  const std::string path_;
  mutable std::mutex mutex_;
  PartExtent extent_;                       // guarded by mutex_, but for first_lsn
  mutable std::vector<SqliteDb> idle_;      // guarded by mutex_
  mutable std::string damage_;              // guarded by mutex_
};
using SharedPart = std::shared_ptr<PartFile>;

// "part-<first LSN, 16 hex digits>.db"
std::string PartFileName(Lsn first_lsn);
void RemovePartFiles(const std::string& path);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_SQLITE_PART_FILE_H_
