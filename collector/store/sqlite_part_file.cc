// SPDX-License-Identifier: Apache-2.0
#include "collector/store/sqlite_part_file.h"

#include <fmt/format.h>

#include <filesystem>

namespace culprit {
namespace {

constexpr std::size_t kMaxIdle = 4;

std::uint64_t SizeOf(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

PartFile::Lease::~Lease() {
  if (!db_.is_open()) return;
  const std::lock_guard lock(part_->mutex_);
  if (part_->idle_.size() < kMaxIdle) part_->idle_.push_back(std::move(db_));
}

Result<PartFile::Lease> PartFile::Open() const {
  {
    const std::lock_guard lock(mutex_);
    if (!damage_.empty()) return DataLoss(damage_);
    if (!idle_.empty()) {
      SqliteDb db = std::move(idle_.back());
      idle_.pop_back();
      return Lease(this, std::move(db));
    }
  }
  TRY(SqliteDb db, SqliteDb::Open(path_, SqliteDb::Mode::kReadOnly));
  TRY_VOID(db.Exec("PRAGMA cache_size=-8192; PRAGMA query_only=1;"));
  return Lease(this, std::move(db));
}

void PartFile::Rest() const {
  const std::lock_guard lock(mutex_);
  idle_.clear();
}

PartExtent PartFile::extent() const {
  const std::lock_guard lock(mutex_);
  return extent_;
}

void PartFile::SetExtent(const PartExtent& extent) {
  const std::lock_guard lock(mutex_);
  extent_ = extent;
}

std::uint64_t PartFile::Bytes() const { return SizeOf(path_) + SizeOf(path_ + "-wal"); }

std::string PartFile::SetDamageFrom(const std::string& cause) const {
  const std::lock_guard lock(mutex_);
  if (damage_.empty()) {
    damage_ = fmt::format(
        "index part {} is damaged ({}): LSN {} to {} missing from answers, run culprit-collector "
        "reindex",
        path_, cause, extent_.first_lsn, extent_.applied_lsn);
  }
  return damage_;
}

std::string PartFile::damage() const {
  const std::lock_guard lock(mutex_);
  return damage_;
}

std::string PartFileName(Lsn first_lsn) { return fmt::format("part-{:016x}.db", first_lsn); }

void RemovePartFiles(const std::string& path) {
  std::error_code ignored;  // what is gone is gone
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix, ignored);
}

}  // namespace culprit
