// SPDX-License-Identifier: Apache-2.0
// FaultStore: files and directories of which only what was synced is really there.
//
// A write stays in memory until fsync of its file; a created, renamed or removed name until fsync of its directory. (This is
// what POSIX promises, less than most file systems keep.) Drop() loses everything that was not synced, like a power cut.
// What is synced lies in the backing directory under its own name; synced content of a file whose name is not durable yet lies
// in BACKING/.faultfs until then.
//
// Thread: none; the caller locks. Failure: negative errno, as FUSE wants it.
#ifndef CULPRIT_TESTS_SUPPORT_FAULTFS_FAULT_STORE_H_
#define CULPRIT_TESTS_SUPPORT_FAULTFS_FAULT_STORE_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/unique_fd.h"

namespace culprit {

class FaultNode;
using FaultNodePtr = std::shared_ptr<FaultNode>;

struct FaultStat {
  bool is_directory = false;
  mode_t mode = 0;
  std::uint64_t size = 0;
};

// An open file. Dead (ESTALE) after a drop.
struct FaultHandle {
  FaultNodePtr node;
  std::uint64_t epoch = 0;
};

class FaultStore {
 public:
  // `backing` must exist; aborts the program where it can not be read or written.
  explicit FaultStore(std::string backing);
  ~FaultStore();

  int Stat(const std::string& path, FaultStat* stat) const;
  int List(const std::string& path, std::vector<std::string>* names) const;
  int Open(const std::string& path, bool truncate, FaultHandle* handle);
  int Create(const std::string& path, mode_t mode, FaultHandle* handle);
  int Read(const FaultHandle& handle, std::uint64_t offset, std::size_t size, std::string* out) const;
  int Write(const FaultHandle& handle, std::uint64_t offset, std::string_view bytes);
  int Truncate(const std::string& path, std::uint64_t size);
  int Unlink(const std::string& path);
  int MakeDirectory(const std::string& path, mode_t mode);
  int RemoveDirectory(const std::string& path);
  int Rename(const std::string& from, const std::string& to);
  int Sync(const FaultHandle& handle);
  int SyncDirectory(const std::string& path);

  // The power cut.
  void Drop();
  // A drop then keeps some of the unsynced writes, whole or torn, as a disk may: random by `seed`. 0 = none.
  void KeepSome(std::uint64_t seed);
  void set_full(bool full) { full_ = full; }
  void set_fail_sync(bool fail) { fail_sync_ = fail; }

  std::uint64_t drops() const { return drops_; }
  std::uint64_t unsynced_bytes() const;

 private:
  FaultNodePtr Find(const std::string& path) const;
  // The directory that `path` is in, and the last part of the path.
  FaultNodePtr ParentOf(const std::string& path, std::string* name) const;
  FaultNodePtr LoadNode(const FaultNodePtr& parent, const std::string& name);
  void LoadRoot();
  FaultNodePtr NewNode(bool is_directory, mode_t mode);
  void KeepSomeOf(FaultNode* node);

  std::string backing_;
  FaultNodePtr root_;
  std::uint64_t epoch_ = 1;
  std::uint64_t next_orphan_ = 1;
  std::uint64_t drops_ = 0;
  bool full_ = false;
  bool fail_sync_ = false;
  bool keep_some_ = false;
  std::mt19937_64 random_;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_FAULTFS_FAULT_STORE_H_
