// SPDX-License-Identifier: Apache-2.0
#include "tests/support/faultfs/fault_node.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace culprit {
namespace {

void Require(bool ok, const std::string& what) {
  if (ok) return;
  std::perror(("faultfs: " + what).c_str());
  std::abort();
}

void WriteAt(int fd, std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    Require(n > 0, "write to the backing file");
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

}  // namespace

FaultNode::~FaultNode() {
  if (!is_directory_ && is_orphan() && copy_) unlink(place_.c_str());
  if (is_directory_ && is_orphan()) rmdir(place_.c_str());
}

std::string FaultNode::Place() const {
  return parent_ == nullptr ? place_ : parent_->Place() + "/" + place_;
}

void FaultNode::PlaceAt(const FaultNode* parent, std::string name) {
  const std::string from = Place();
  SetPlace(parent, std::move(name));
  Require(rename(from.c_str(), Place().c_str()) == 0, "rename " + from + " to " + Place());
}

void FaultNode::OpenCopy(bool create) {
  copy_.Reset(open(Place().c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), mode_));
  Require(copy_.get() >= 0, "open " + Place());
  struct stat st {};
  Require(fstat(copy_.get(), &st) == 0, "stat " + Place());
  size_ = copy_valid_ = static_cast<std::uint64_t>(st.st_size);
}

std::uint64_t FaultNode::unsynced_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [offset, data] : extents_) bytes += data.size();
  return bytes;
}

std::string FaultNode::Read(std::uint64_t offset, std::size_t size) const {
  if (offset >= size_) return {};
  std::string out(static_cast<std::size_t>(std::min<std::uint64_t>(size, size_ - offset)), '\0');
  if (offset < copy_valid_) {
    const auto want = static_cast<std::size_t>(
        std::min<std::uint64_t>(out.size(), copy_valid_ - offset));
    Require(pread(copy_.get(), out.data(), want, static_cast<off_t>(offset)) >= 0, "read");
  }
  const std::uint64_t end = offset + out.size();
  auto it = extents_.upper_bound(offset);
  if (it != extents_.begin()) --it;
  for (; it != extents_.end() && it->first < end; ++it) {
    const std::uint64_t from = std::max(it->first, offset);
    const std::uint64_t to = std::min(it->first + it->second.size(), end);
    if (from < to) it->second.copy(&out[from - offset], to - from, from - it->first);
  }
  return out;
}

// Takes [begin, end) out of the unsynced extents.
void FaultNode::Carve(std::uint64_t begin, std::uint64_t end) {
  auto it = extents_.upper_bound(begin);
  if (it != extents_.begin()) --it;
  while (it != extents_.end() && it->first < end) {
    const std::uint64_t first = it->first;
    const std::uint64_t last = first + it->second.size();
    if (last <= begin) {
      ++it;
      continue;
    }
    std::string data = std::move(it->second);
    it = extents_.erase(it);
    if (last > end) it = extents_.emplace(end, data.substr(end - first)).first;
    if (first < begin) extents_.emplace(first, data.substr(0, begin - first));
    if (last > end) break;
  }
}

void FaultNode::Write(std::uint64_t offset, std::string_view bytes) {
  Carve(offset, offset + bytes.size());
  extents_.emplace(offset, bytes);
  size_ = std::max(size_, offset + bytes.size());
}

void FaultNode::Truncate(std::uint64_t size) {
  if (size < size_) Carve(size, UINT64_MAX);
  copy_valid_ = std::min(copy_valid_, size);
  size_ = size;
}

void FaultNode::CutCopy() {
  Require(ftruncate(copy_.get(), static_cast<off_t>(copy_valid_)) == 0, "truncate");
}

void FaultNode::Sync() {
  CutCopy();
  for (const auto& [offset, data] : extents_) WriteAt(copy_.get(), offset, data);
  Require(ftruncate(copy_.get(), static_cast<off_t>(size_)) == 0, "truncate");
  extents_.clear();
  copy_valid_ = size_;
}

void FaultNode::SyncSome(std::mt19937_64* random) {
  for (const auto& [offset, data] : extents_) {
    const std::uint64_t fate = (*random)() % 3;
    if (fate == 0) continue;
    const std::size_t kept = fate == 1 ? data.size() : (*random)() % (data.size() + 1);
    WriteAt(copy_.get(), offset, std::string_view(data).substr(0, kept));
  }
}

}  // namespace culprit
