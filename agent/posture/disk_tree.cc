// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/disk_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10;

std::int64_t Nanoseconds(const statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

Result<struct statx> StatOf(int fd, const std::string& path) {
  struct statx st {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) != 0)
    return ErrnoError(path);
  return st;
}

// For file systems whose stat does not tell (overlayfs).
void ReadAttributes(int fd, FileInfo* info) {
  const UniqueFd open_fd(open(DescriptorPath(fd).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  int flags = 0;
  if (!open_fd || ioctl(open_fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return;
  info->immutable = (flags & FS_IMMUTABLE_FL) != 0;
  info->append_only = (flags & FS_APPEND_FL) != 0;
}

FileInfo InfoOf(const struct statx& st) {
  FileInfo info;
  info.kind = S_ISREG(st.stx_mode)   ? FileKind::kFile
              : S_ISDIR(st.stx_mode) ? FileKind::kDirectory
              : S_ISLNK(st.stx_mode) ? FileKind::kSymlink
                                     : FileKind::kOther;
  info.uid = st.stx_uid;
  info.gid = st.stx_gid;
  info.mode = st.stx_mode & 07777U;
  info.size = st.stx_size;
  info.mtime_ns = Nanoseconds(st.stx_mtime);
  info.ctime_ns = Nanoseconds(st.stx_ctime);
  info.immutable = (st.stx_attributes & STATX_ATTR_IMMUTABLE) != 0;
  info.append_only = (st.stx_attributes & STATX_ATTR_APPEND) != 0;
  return info;
}

}  // namespace

Result<std::unique_ptr<DiskTree>> DiskTree::Open(const std::string& root) {
  UniqueFd fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError(root);
  TRY(const std::string name, ReadLink(DescriptorPath(fd.get())));
  return std::unique_ptr<DiskTree>(new DiskTree(std::move(fd), name == "/" ? "" : name));
}

Result<UniqueFd> DiskTree::OpenPath(const std::string& path, bool follow) const {
  if (path.empty() || path.find('\0') != std::string::npos) return NotFound("no such path");
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | (follow ? 0U : static_cast<unsigned>(O_NOFOLLOW));
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const long fd = syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how);
  if (fd < 0) return ErrnoError(path);
  return UniqueFd(static_cast<int>(fd));
}

Result<FileInfo> DiskTree::Look(const std::string& path) {
  TRY(const UniqueFd fd, OpenPath(path, false));
  TRY(const struct statx st, StatOf(fd.get(), path));
  return InfoOf(st);
}

Result<FileInfo> DiskTree::Stat(const std::string& path) {
  TRY(const UniqueFd fd, OpenPath(path, true));
  TRY(const struct statx st, StatOf(fd.get(), path));
  FileInfo info = InfoOf(st);
  const bool regular = info.kind == FileKind::kFile || info.kind == FileKind::kDirectory;
  if (regular && (st.stx_attributes_mask & STATX_ATTR_IMMUTABLE) == 0)
    ReadAttributes(fd.get(), &info);
  return info;
}

Result<std::string> DiskTree::Resolve(const std::string& path) {
  TRY(const UniqueFd fd, OpenPath(path, true));
  TRY(const std::string name, ReadLink(DescriptorPath(fd.get())));
  if (name.compare(0, name_.size(), name_) != 0) return NotFound(path + ": outside of the root");
  const std::string inside = name.substr(name_.size());
  return inside.empty() ? std::string("/") : inside;
}

Result<FileContent> DiskTree::Read(const std::string& path, std::size_t limit) {
  TRY(const UniqueFd place, OpenPath(path, true));
  TRY(const struct statx before, StatOf(place.get(), path));
  if (!S_ISREG(before.stx_mode)) return FailedPrecondition(path + ": not a regular file");
  const std::string self = DescriptorPath(place.get());
  UniqueFd fd(open(self.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOATIME));
  if (!fd && errno == EPERM)
    fd = UniqueFd(open(self.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return ErrnoError(path);
  FileContent content;
  while (content.bytes.size() <= limit) {
    const std::size_t have = content.bytes.size();
    content.bytes.resize(have + std::min(kChunk, limit + 1 - have));
    const ssize_t got = read(fd.get(), content.bytes.data() + have, content.bytes.size() - have);
    if (got < 0 && errno != EINTR) return ErrnoError(path);
    content.bytes.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0 || content.bytes.size() > limit) break;
  }
  content.cut = content.bytes.size() > limit;
  content.bytes.resize(std::min(content.bytes.size(), limit));
  TRY(const struct statx after, StatOf(place.get(), path));
  content.changed = Nanoseconds(before.stx_mtime) != Nanoseconds(after.stx_mtime) ||
                    before.stx_size != after.stx_size;
  return content;
}

Result<DirectoryList> DiskTree::List(const std::string& path, std::size_t limit) {
  TRY(const UniqueFd place, OpenPath(path, true));
  UniqueFd fd(open(DescriptorPath(place.get()).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError(path);
  DIR* dir = fdopendir(fd.get());
  if (dir == nullptr) return ErrnoError(path);
  (void)fd.Release();
  DirectoryList list;
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (list.names.size() >= limit) {
      list.cut = true;
      break;
    }
    list.names.push_back(name);
  }
  closedir(dir);
  std::sort(list.names.begin(), list.names.end());
  return list;
}

}  // namespace culprit
