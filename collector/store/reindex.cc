// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/file.h>

#include <filesystem>

#include "collector/model/batch_decoder.h"
#include "collector/store/indexer.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

namespace fs = std::filesystem;
constexpr Lsn kProgressEvery = 1024;

Status Remove(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return ErrnoError("remove " + path, error.value());
  return Ok();
}

Status Rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return ErrnoError("rename " + from + " to " + to);
  return Ok();
}

// Held while the index is being replaced, so that no collector writes to it.
Result<UniqueFd> LockIndex(const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return ErrnoError("create " + directory, error.value());
  UniqueFd fd(open((directory + "/LOCK").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) return ErrnoError("open " + directory + "/LOCK");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return FailedPrecondition("index " + directory + " is in use: stop the collector first");
  }
  return fd;
}

Status Fill(Journal& journal, EvidenceStore& store, const std::function<void(Lsn)>& progress) {
  Status taken = Ok();
  TRY_VOID(journal.Scan(1, [&](const StoredFrame& stored) {
    const DecodedFrame frame = DecodeStoredFrame(stored);
    taken = store.Append({&frame, 1});
    if (progress && stored.lsn % kProgressEvery == 0) progress(stored.lsn);
    return taken.has_value();
  }));
  TRY_VOID(taken);
  return store.Flush();
}

}  // namespace

Result<StoreStats> Reindex(Journal& journal, const SqliteStoreOptions& options,
                           const std::function<void(Lsn)>& progress) {
  TRY(UniqueFd lock, LockIndex(options.directory));
  const std::string fresh = options.directory + ".reindex";
  const std::string old = options.directory + ".old";
  TRY_VOID(Remove(fresh));
  TRY_VOID(Remove(old));
  SqliteStoreOptions into = options;
  into.directory = fresh;
  StoreStats stats;
  {
    TRY(std::unique_ptr<EvidenceStore> store, OpenSqliteStore(into));
    TRY_VOID(Fill(journal, *store, progress));
    stats = store->stats();
  }
  TRY_VOID(Rename(options.directory, old));
  TRY_VOID(Rename(fresh, options.directory));
  TRY_VOID(Remove(old));
  return stats;
}

Result<std::unique_ptr<EvidenceStore>> OpenOrReindex(Journal& journal,
                                                     const SqliteStoreOptions& options) {
  auto store = OpenSqliteStore(options);
  if (store) {
    // An index that is ahead of its journal belongs to another one.
    if ((*store)->applied_lsn() <= journal.stats().durable_lsn) return store;
    store->reset();
  } else if (store.error().message.find("reindex") == std::string::npos) {
    return store;
  }
  TRY_VOID(Reindex(journal, options, nullptr));
  return OpenSqliteStore(options);
}

}  // namespace culprit
