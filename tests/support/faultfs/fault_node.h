// SPDX-License-Identifier: Apache-2.0
// One file or directory of a FaultStore: what programs see, and what of it is durable. Thread: the store's.
#ifndef CULPRIT_TESTS_SUPPORT_FAULTFS_FAULT_NODE_H_
#define CULPRIT_TESTS_SUPPORT_FAULTFS_FAULT_NODE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/faultfs/fault_store.h"

namespace culprit {

inline constexpr const char* kOrphanDirectory = ".faultfs";

class FaultNode {
 public:
  FaultNode(bool is_directory, mode_t mode) : is_directory_(is_directory), mode_(mode) {}
  ~FaultNode();  // removes the backing copy of a file that has no durable name
  FaultNode(const FaultNode&) = delete;
  FaultNode& operator=(const FaultNode&) = delete;

  bool is_directory() const { return is_directory_; }
  mode_t mode() const { return mode_; }

  // Where the durable copy lies: a name in a durable directory, or an orphan without one.
  std::string Place() const;
  void PlaceAt(const FaultNode* parent, std::string name);  // renames the copy
  void SetPlace(const FaultNode* parent, std::string name) {
    parent_ = parent;
    place_ = std::move(name);
  }
  bool is_orphan() const { return parent_ == nullptr; }

  // Files.
  void OpenCopy(bool create);  // aborts where it can not
  std::uint64_t size() const { return size_; }
  std::uint64_t unsynced_bytes() const;
  std::string Read(std::uint64_t offset, std::size_t size) const;
  void Write(std::uint64_t offset, std::string_view bytes);
  void Truncate(std::uint64_t size);
  void Sync();
  // Writes a random part of what is unsynced to the copy.
  void SyncSome(std::mt19937_64* random);

  // Directories: names as programs see them, and as the backing directory has them.
  std::map<std::string, FaultNodePtr> entries;
  std::map<std::string, FaultNodePtr> durable;

 private:
  void Carve(std::uint64_t begin, std::uint64_t end);
  void CutCopy();

  const bool is_directory_;
  const mode_t mode_;
  const FaultNode* parent_ = nullptr;  // outlives this: directories are only freed with the whole tree
  std::string place_;                  // name in `parent_`, or a whole path
  UniqueFd copy_;
  std::uint64_t size_ = 0;
  std::uint64_t copy_valid_ = 0;  // bytes of the copy that still show; less than its size after a truncation
  std::map<std::uint64_t, std::string> extents_;  // unsynced, never overlapping
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_FAULTFS_FAULT_NODE_H_
