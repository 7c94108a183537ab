// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/host_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>

#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMountTable = std::size_t{4} << 20;
constexpr std::array<std::string_view, 14> kForeign = {
    "nfs",       "nfs4",   "cifs",  "smb3", "9p",     "ceph",     "afs",
    "glusterfs", "lustre", "ocfs2", "gfs2", "autofs", "virtiofs", "ncpfs"};

bool IsForeign(std::string_view type) {
  return type.starts_with("fuse") ||
         std::find(kForeign.begin(), kForeign.end(), type) != kForeign.end();
}

// Mount points of a mountinfo whose file system another answers for; "\040" and the like stand for
// blanks.
std::vector<std::string> ForeignMounts(const std::string& mountinfo) {
  std::vector<std::string> found;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string id, parent, device, root, point, type;
    before >> id >> parent >> device >> root >> point;
    after >> type;
    std::string plain;
    for (std::size_t i = 0; i < point.size(); ++i) {
      if (point[i] == '\\' && i + 3 < point.size()) {
        plain.push_back(static_cast<char>(std::strtol(point.substr(i + 1, 3).c_str(), nullptr, 8)));
        i += 3;
      } else {
        plain.push_back(point[i]);
      }
    }
    if (IsForeign(type) && plain != "/") found.push_back(plain);
  }
  return found;
}

std::int64_t Ns(const statx_timestamp& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

}  // namespace

Result<FileFacts> FactsOf(int fd, mode_t* mode) {
  struct statx st {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
    return ErrnoError("statx");
  FileFacts facts;
  facts.present = true;
  facts.mode = st.stx_mode & 07777U;
  facts.uid = st.stx_uid;
  facts.gid = st.stx_gid;
  facts.inode = st.stx_ino;
  facts.device = makedev(st.stx_dev_major, st.stx_dev_minor);
  facts.size = st.stx_size;
  facts.mtime_ns = Ns(st.stx_mtime);
  facts.atime_ns = Ns(st.stx_atime);
  facts.ctime_ns = Ns(st.stx_ctime);
  facts.btime_ns = (st.stx_mask & STATX_BTIME) != 0 ? Ns(st.stx_btime) : 0;
  if ((st.stx_attributes & STATX_ATTR_IMMUTABLE) != 0) facts.attributes = "immutable";
  if ((st.stx_attributes & STATX_ATTR_APPEND) != 0)
    facts.attributes += facts.attributes.empty() ? "append-only" : " append-only";
  *mode = st.stx_mode;
  return facts;
}

Result<std::string> ReadBounded(int fd, std::size_t limit) {
  std::string bytes;
  while (bytes.size() < limit) {
    const std::size_t have = bytes.size();
    bytes.resize(have + std::min<std::size_t>(limit - have, std::size_t{16} << 10));
    const ssize_t got = read(fd, bytes.data() + have, bytes.size() - have);
    const int error = errno;
    bytes.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && error == EINTR) continue;
    if (got < 0 && bytes.empty()) return ErrnoError("read", error);
    if (got <= 0) break;
  }
  return bytes;
}

Result<std::string> ReadAt(int directory, const std::string& path, std::size_t limit) {
  const UniqueFd fd(openat(directory, path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return ErrnoError(path);
  return ReadBounded(fd.get(), limit);
}

Result<HostFiles> HostFiles::Open(const std::string& root) {
  UniqueFd fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError(root);
  HostFiles files(std::move(fd));
  if (root == "/") {
    if (const auto mounts = files.Read("/proc/self/mountinfo", kMountTable))
      files.foreign_ = ForeignMounts(*mounts);
  }
  return files;
}

bool HostFiles::OnForeignFileSystem(std::string_view path) const {
  return std::any_of(foreign_.begin(), foreign_.end(), [&](const std::string& mount) {
    return path.starts_with(mount) && (path.size() == mount.size() || path[mount.size()] == '/');
  });
}

Result<UniqueFd> HostFiles::OpenPlace(const std::string& path) const {
  if (path.empty() || path.find('\0') != std::string::npos) return NotFound("no such path");
  if (OnForeignFileSystem(path))
    return MakeError(Code::kUnavailable,
                     "on a file system that another program or host answers for");
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // /proc/self is a link; below /etc and the like there must be none on the way.
  if (!path.starts_with("/proc/") && !path.starts_with("/sys/")) how.resolve |= RESOLVE_NO_SYMLINKS;
  const long fd = syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how);
  if (fd < 0 && errno == ELOOP)
    return MakeError(Code::kFailedPrecondition, "a symbolic link on the way");
  if (fd < 0) return ErrnoError("open");
  return UniqueFd(static_cast<int>(fd));
}

Result<FileEntry> HostFiles::Look(const std::string& path) const {
  TRY(const UniqueFd place, OpenPlace(path));
  FileEntry entry;
  entry.path = path;
  TRY(entry.facts, FactsOf(place.get(), &entry.mode));
  if (S_ISLNK(entry.mode)) entry.link = ReadLinkAt(place.get(), "").value_or("");
  return entry;
}

Result<UniqueFd> HostFiles::OpenRegular(const std::string& path, FileEntry* entry) const {
  TRY(const UniqueFd place, OpenPlace(path));
  entry->path = path;
  TRY(entry->facts, FactsOf(place.get(), &entry->mode));
  if (!S_ISREG(entry->mode)) return MakeError(Code::kFailedPrecondition, "not a regular file");
  const std::string self = DescriptorPath(place.get());
  UniqueFd fd(open(self.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOATIME));
  if (!fd && errno == EPERM)
    return MakeError(Code::kPermissionDenied, "could be read with a trace in its access time only");
  if (!fd) return ErrnoError("open");
  // Where file systems do not tell them by statx (overlayfs).
  int flags = 0;
  if (entry->facts.attributes.empty() && ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) == 0) {
    if ((flags & FS_IMMUTABLE_FL) != 0) entry->facts.attributes = "immutable";
    if ((flags & FS_APPEND_FL) != 0)
      entry->facts.attributes += entry->facts.attributes.empty() ? "append-only" : " append-only";
  }
  return fd;
}

Result<std::string> HostFiles::Read(const std::string& path, std::size_t limit) const {
  TRY(const UniqueFd place, OpenPlace(path));
  struct stat st {};
  if (fstat(place.get(), &st) != 0) return ErrnoError("stat");
  if (!S_ISREG(st.st_mode)) return MakeError(Code::kFailedPrecondition, "not a regular file");
  int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const UniqueFd fd(open(DescriptorPath(place.get()).c_str(), flags | O_NOATIME));
  if (!fd) return ErrnoError("open");
  return ReadBounded(fd.get(), limit);
}

Result<std::vector<std::string>> HostFiles::List(const std::string& path, std::size_t limit,
                                                 bool* cut) const {
  TRY(const UniqueFd place, OpenPlace(path));
  UniqueFd fd(open(DescriptorPath(place.get()).c_str(),
                   O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC | O_NOATIME));
  if (!fd) return ErrnoError("open");
  DIR* dir = fdopendir(fd.get());
  if (dir == nullptr) return ErrnoError("list");
  (void)fd.Release();
  std::vector<std::string> names;
  *cut = false;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() >= limit) {
      *cut = true;
      break;
    }
    names.emplace_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace culprit
