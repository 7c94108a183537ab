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
    : path_(std::move(path)), at_(from), skip_existing_(from.inode == 0) {
  OpenFirst();
  skip_existing_ = false;  // one that comes later is new as a whole
}

LogPosition LogFollower::position() const {
  LogPosition position = at_;
  position.offset -= std::min<std::uint64_t>(position.offset, partial_.size() + passed_);
  return position;
}

void LogFollower::OpenFirst() {
  if (OpenAt(path_, at_.inode != 0)) return;
  if (at_.inode != 0 && OpenAt(path_ + ".1", true)) return;
  OpenAt(path_, false);
}

// With `only_if_known` the file must be the one that was read before.
bool LogFollower::OpenAt(const std::string& path, bool only_if_known) {
  // No device and no FIFO: reading one could wait for ever.
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat now {};
  if (!file || fstat(file.get(), &now) != 0 || !S_ISREG(now.st_mode)) return false;
  const bool known = now.st_ino == at_.inode && now.st_dev == at_.device;
  if (only_if_known && !known) return false;
  const auto size = static_cast<std::uint64_t>(now.st_size);
  const std::uint64_t from = known && at_.offset <= size ? at_.offset : skip_existing_ ? size : 0;
  at_ = {now.st_dev, now.st_ino, from};
  Restart();
  file_ = std::move(file);
  return true;
}

void LogFollower::Restart() {
  partial_.clear();
  cut_ = false;
  passed_ = 0;
}

// Called at the end of the open file. Whoever writes the log may go on in the old file until it has
// opened the new one, and does not come back once it wrote to that: an empty new file is not yet a
// reason to leave.
bool LogFollower::SwitchIfRotated() {
  struct stat now {};
  if (stat(path_.c_str(), &now) != 0 || (now.st_ino == at_.inode && now.st_dev == at_.device) ||
      now.st_size == 0) {
    return false;
  }
  struct stat old {};
  if (fstat(file_.get(), &old) == 0 && static_cast<std::uint64_t>(old.st_size) > at_.offset) {
    return true;  // written between the read and the look
  }
  return OpenAt(path_, false);
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
    Restart();
    bytes.remove_prefix(end + 1);
  }
}

bool LogFollower::Read(std::size_t max_bytes, const std::function<void(std::string_view)>& line) {
  if (!open()) OpenFirst();
  if (!open()) return false;
  std::array<char, kBlock> block{};
  for (std::size_t read = 0; read < max_bytes;) {
    const ssize_t n =
        pread(file_.get(), block.data(), block.size(), static_cast<off_t>(at_.offset));
    if (n > 0) {
      at_.offset += static_cast<std::uint64_t>(n);
      read += static_cast<std::size_t>(n);
      TakeLines({block.data(), static_cast<std::size_t>(n)}, line);
      continue;
    }
    if (n < 0) return false;
    struct stat now {};
    if (fstat(file_.get(), &now) == 0 && static_cast<std::uint64_t>(now.st_size) < at_.offset) {
      at_.offset = 0;  // emptied in place
      Restart();
    } else if (!SwitchIfRotated()) {
      return false;
    }
  }
  return true;
}

}  // namespace culprit
