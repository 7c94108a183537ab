// SPDX-License-Identifier: Apache-2.0
#include "tests/support/faultfs/fault_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/file.h"
#include "tests/support/faultfs/fault_node.h"

namespace culprit {
namespace {

void Require(bool ok, const std::string& what) {
  if (ok) return;
  std::perror(("faultfs: " + what).c_str());
  std::abort();
}

std::string OrphanPlace(const std::string& backing, std::uint64_t number) {
  return backing + "/" + kOrphanDirectory + "/" + std::to_string(number);
}

}  // namespace

FaultStore::FaultStore(std::string backing) : backing_(std::move(backing)) { LoadRoot(); }
FaultStore::~FaultStore() = default;

void FaultStore::LoadRoot() {
  root_.reset();
  const std::string orphans = backing_ + "/" + kOrphanDirectory;
  std::error_code error;
  std::filesystem::remove_all(orphans, error);
  Require(mkdir(orphans.c_str(), 0700) == 0, "create " + orphans);
  root_ = LoadNode(nullptr, backing_);
}

FaultNodePtr FaultStore::LoadNode(const FaultNodePtr& parent, const std::string& name) {
  const std::string path = parent ? parent->Place() + "/" + name : name;
  struct stat st {};
  Require(lstat(path.c_str(), &st) == 0, "stat " + path);
  auto node = std::make_shared<FaultNode>(S_ISDIR(st.st_mode), st.st_mode & 07777U);
  node->SetPlace(parent ? parent.get() : nullptr, name);
  if (!node->is_directory()) {
    node->OpenCopy(false);
    return node;
  }
  const auto names = culprit::ListDirectory(path);
  Require(names.has_value(), "list " + path);
  for (const std::string& child : *names) {
    if (!parent && child == kOrphanDirectory) continue;
    node->entries[child] = LoadNode(node, child);
  }
  node->durable = node->entries;
  return node;
}

FaultNodePtr FaultStore::Find(const std::string& path) const {
  FaultNodePtr node = root_;
  for (std::size_t at = 1; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const auto it = node->entries.find(path.substr(at, end - at));
    if (it == node->entries.end()) return nullptr;
    node = it->second;
    at = end + 1;
  }
  return node;
}

FaultNodePtr FaultStore::ParentOf(const std::string& path, std::string* name) const {
  const std::size_t slash = path.find_last_of('/');
  *name = path.substr(slash + 1);
  return Find(slash == 0 ? "/" : path.substr(0, slash));
}

FaultNodePtr FaultStore::NewNode(bool is_directory, mode_t mode) {
  auto node = std::make_shared<FaultNode>(is_directory, mode & 07777U);
  node->SetPlace(nullptr, OrphanPlace(backing_, next_orphan_++));
  if (is_directory) {
    Require(mkdir(node->Place().c_str(), 0700) == 0, "create " + node->Place());
  } else {
    node->OpenCopy(true);
  }
  return node;
}

int FaultStore::Stat(const std::string& path, FaultStat* stat) const {
  const FaultNodePtr node = Find(path);
  if (!node) return -ENOENT;
  *stat = {node->is_directory(), node->mode(), node->size()};
  return 0;
}

int FaultStore::List(const std::string& path, std::vector<std::string>* names) const {
  const FaultNodePtr node = Find(path);
  if (!node) return -ENOENT;
  if (!node->is_directory()) return -ENOTDIR;
  for (const auto& [name, child] : node->entries) names->push_back(name);
  return 0;
}

int FaultStore::Open(const std::string& path, bool truncate, FaultHandle* handle) {
  const FaultNodePtr node = Find(path);
  if (!node) return -ENOENT;
  if (node->is_directory()) return -EISDIR;
  if (truncate) node->Truncate(0);
  *handle = {node, epoch_};
  return 0;
}

int FaultStore::Create(const std::string& path, mode_t mode, FaultHandle* handle) {
  std::string name;
  const FaultNodePtr parent = ParentOf(path, &name);
  if (!parent) return -ENOENT;
  if (full_) return -ENOSPC;
  FaultNodePtr& entry = parent->entries[name];
  if (!entry) entry = NewNode(false, mode);
  if (entry->is_directory()) return -EISDIR;
  *handle = {entry, epoch_};
  return 0;
}

int FaultStore::Read(const FaultHandle& handle, std::uint64_t offset, std::size_t size,
                     std::string* out) const {
  if (handle.epoch != epoch_) return -ESTALE;
  *out = handle.node->Read(offset, size);
  return 0;
}

int FaultStore::Write(const FaultHandle& handle, std::uint64_t offset, std::string_view bytes) {
  if (handle.epoch != epoch_) return -ESTALE;
  if (full_) return -ENOSPC;
  handle.node->Write(offset, bytes);
  return 0;
}

int FaultStore::Truncate(const std::string& path, std::uint64_t size) {
  const FaultNodePtr node = Find(path);
  if (!node) return -ENOENT;
  if (node->is_directory()) return -EISDIR;
  node->Truncate(size);
  return 0;
}

int FaultStore::Unlink(const std::string& path) {
  std::string name;
  const FaultNodePtr parent = ParentOf(path, &name);
  if (!parent || !parent->entries.contains(name)) return -ENOENT;
  if (parent->entries[name]->is_directory()) return -EISDIR;
  parent->entries.erase(name);
  return 0;
}

int FaultStore::MakeDirectory(const std::string& path, mode_t mode) {
  std::string name;
  const FaultNodePtr parent = ParentOf(path, &name);
  if (!parent) return -ENOENT;
  if (parent->entries.contains(name)) return -EEXIST;
  if (full_) return -ENOSPC;
  parent->entries[name] = NewNode(true, mode);
  return 0;
}

int FaultStore::RemoveDirectory(const std::string& path) {
  std::string name;
  const FaultNodePtr parent = ParentOf(path, &name);
  const FaultNodePtr node = Find(path);
  if (!parent || !node) return -ENOENT;
  if (!node->is_directory()) return -ENOTDIR;
  if (!node->entries.empty()) return -ENOTEMPTY;
  parent->entries.erase(name);
  return 0;
}

int FaultStore::Rename(const std::string& from, const std::string& to) {
  std::string from_name;
  std::string to_name;
  const FaultNodePtr from_parent = ParentOf(from, &from_name);
  const FaultNodePtr to_parent = ParentOf(to, &to_name);
  if (!from_parent || !to_parent || !from_parent->entries.contains(from_name)) return -ENOENT;
  // A move between two directories would need two of them to become durable as one.
  if (from_parent != to_parent) return -EXDEV;
  const FaultNodePtr node = from_parent->entries[from_name];
  from_parent->entries.erase(from_name);
  to_parent->entries[to_name] = node;
  return 0;
}

int FaultStore::Sync(const FaultHandle& handle) {
  if (handle.epoch != epoch_) return -ESTALE;
  if (fail_sync_) return -EIO;
  handle.node->Sync();
  return 0;
}

int FaultStore::SyncDirectory(const std::string& path) {
  const FaultNodePtr directory = Find(path);
  if (!directory || !directory->is_directory()) return -ENOENT;
  if (fail_sync_) return -EIO;
  for (const auto& [name, node] : directory->durable) {
    const auto now = directory->entries.find(name);
    if (now == directory->entries.end() || now->second != node) {
      node->PlaceAt(nullptr, OrphanPlace(backing_, next_orphan_++));
    }
  }
  for (const auto& [name, node] : directory->entries) {
    const auto before = directory->durable.find(name);
    if (before == directory->durable.end() || before->second != node) {
      node->PlaceAt(directory.get(), name);
    }
  }
  directory->durable = directory->entries;
  return 0;
}

void FaultStore::KeepSome(std::uint64_t seed) {
  keep_some_ = seed != 0;
  random_.seed(seed);
}

void FaultStore::KeepSomeOf(FaultNode* node) {
  for (const auto& [name, child] : node->durable) {
    if (child->is_directory()) {
      KeepSomeOf(child.get());
    } else {
      child->SyncSome(&random_);
    }
  }
}

void FaultStore::Drop() {
  if (keep_some_) KeepSomeOf(root_.get());
  ++drops_;
  ++epoch_;
  LoadRoot();
}

std::uint64_t FaultStore::unsynced_bytes() const {
  std::uint64_t bytes = 0;
  std::vector<FaultNodePtr> todo = {root_};
  while (!todo.empty()) {
    const FaultNodePtr node = todo.back();
    todo.pop_back();
    bytes += node->unsynced_bytes();
    for (const auto& [name, child] : node->entries) todo.push_back(child);
  }
  return bytes;
}

}  // namespace culprit
