// SPDX-License-Identifier: Apache-2.0
#include "agent/source/log_follower.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace culprit {
namespace {

constexpr std::size_t kMaxLine = 8'192;
constexpr std::size_t kBlock = 16'384;

}  // namespace

LogFollower::LogFollower(std::string path, const LogPosition& from)
    : path_(std::move(path)), at_(from) {}

LogPosition LogFollower::position() const {
  LogPosition position = at_;
  position.offset -= std::min<std::uint64_t>(position.offset, partial_.size() + passed_);
  return position;
}

// The file under the path is another than the open one, or none is open.
void LogFollower::OpenIfNew() {
  struct stat now {};
  // No device and no FIFO: reading one could wait for ever.
  if (stat(path_.c_str(), &now) != 0 || !S_ISREG(now.st_mode)) {
    first_ = first_ && static_cast<bool>(file_);
    return;
  }
  if (static_cast<bool>(file_) && now.st_dev == at_.device && now.st_ino == at_.inode) return;
  UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file || fstat(file.get(), &now) != 0 || !S_ISREG(now.st_mode)) return;
  const bool known = at_.inode == now.st_ino && at_.device == now.st_dev &&
                     at_.offset <= static_cast<std::uint64_t>(now.st_size);
  const bool skip = first_ && at_.inode == 0;
  if (!known || static_cast<bool>(file_)) {
    at_ = {now.st_dev, now.st_ino, skip ? static_cast<std::uint64_t>(now.st_size) : 0};
  }
  first_ = false;
  partial_.clear();
  cut_ = false;
  passed_ = 0;
  file_ = std::move(file);
}

void LogFollower::TakeLines(std::string_view bytes,
                            const std::function<void(std::string_view)>& line) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    const std::size_t room = cut_ ? 0 : std::min(part.size(), kMaxLine - partial_.size());
    partial_.append(part.substr(0, room));
    passed_ += part.size() - room;
    cut_ = cut_ || room < part.size();
    if (end == std::string_view::npos) return;
    line(partial_);
    partial_.clear();
    cut_ = false;
    passed_ = 0;
    bytes.remove_prefix(end + 1);
  }
}

bool LogFollower::Read(std::size_t max_bytes, const std::function<void(std::string_view)>& line) {
  if (!static_cast<bool>(file_)) OpenIfNew();
  if (!static_cast<bool>(file_)) return false;
  std::array<char, kBlock> block{};
  for (std::size_t read = 0; read < max_bytes;) {
    const ssize_t n = pread(file_.get(), block.data(), block.size(), static_cast<off_t>(at_.offset));
    if (n > 0) {
      at_.offset += static_cast<std::uint64_t>(n);
      read += static_cast<std::size_t>(n);
      TakeLines({block.data(), static_cast<std::size_t>(n)}, line);
      continue;
    }
    struct stat now {};
    if (fstat(file_.get(), &now) == 0 && static_cast<std::uint64_t>(now.st_size) < at_.offset) {
      at_.offset = 0;  // emptied in place
      partial_.clear();
      cut_ = false;
      passed_ = 0;
      continue;
    }
    // All of it is read: whoever rotates has opened a new one.
    const std::uint64_t inode = at_.inode;
    OpenIfNew();
    if (at_.inode == inode) return false;
  }
  return true;
}

}  // namespace culprit
