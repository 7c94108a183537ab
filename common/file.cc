// SPDX-License-Identifier: Apache-2.0
#include "common/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>

namespace culprit {
namespace {

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

constexpr std::size_t kReadChunk = 16384;

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

// `read_some` takes where to, how much at the most, and how much there is already.
template <class ReadSome>
Result<std::string> ReadParts(std::size_t limit, std::string_view what, const ReadSome& read_some) {
  std::string content;
  for (std::size_t had = 0; had < limit;) {
    content.resize(std::min(limit, std::max(had * 2, kReadChunk)));
    const ssize_t n = read_some(content.data() + had, content.size() - had, had);
    if (n < 0 && errno != EINTR) return ErrnoError(what);
    if (n > 0) had += static_cast<std::size_t>(n);
    content.resize(had);
    if (n == 0) break;
  }
  return content;
}

}  // namespace

Status MakeDirectories(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return SyncDirectory(ParentOf(path));
  if (errno == ENOENT && ParentOf(path) != path) {
    TRY_VOID(MakeDirectories(ParentOf(path), mode));
    if (mkdir(path.c_str(), mode) == 0) return SyncDirectory(ParentOf(path));
  }
  if (errno != EEXIST) return ErrnoError("create directory " + path);
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return ErrnoError("stat " + path);
  if (!S_ISDIR(st.st_mode)) return ErrnoError(path, ENOTDIR);
  // Whoever created it may have died before the next line. A parent that is not ours to read is not synced.
  static_cast<void>(SyncDirectory(ParentOf(path)));
  return Ok();
}

Result<std::vector<std::string>> ListDirectory(const std::string& path) {
  const std::unique_ptr<DIR, CloseDir> dir(opendir(path.c_str()));
  if (!dir) return ErrnoError("read directory " + path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(dir.get());  // NOLINT(concurrency-mt-unsafe): the stream is ours
    if (entry == nullptr) break;
    const std::string_view name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoError("read directory " + path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<UniqueFd> OpenReadOnly(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open " + path);
  return fd;
}

std::string DescriptorPath(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Result<std::string> ReadLink(const std::string& path) { return ReadLinkAt(AT_FDCWD, path); }

Result<std::string> ReadLinkAt(int directory, const std::string& path) {
  char target[PATH_MAX];
  const ssize_t n = readlinkat(directory, path.c_str(), target, sizeof(target));
  if (n < 0) return ErrnoError("read link " + path);
  return std::string(target, static_cast<std::size_t>(n));
}

Result<std::string> ReadUpTo(int fd, std::size_t limit, std::string_view what) {
  return ReadParts(limit, what,
                   [fd](char* to, std::size_t room, std::size_t) { return read(fd, to, room); });
}

Result<std::string> PreadUpTo(int fd, std::uint64_t offset, std::size_t limit,
                              std::string_view what) {
  return ReadParts(limit, what, [fd, offset](char* to, std::size_t room, std::size_t had) {
    return pread(fd, to, room, static_cast<off_t>(offset + had));
  });
}

Result<std::string> ReadWholeFile(const std::string& path, std::size_t max_bytes) {
  TRY(const UniqueFd fd, OpenReadOnly(path));
  return ReadWholeFile(fd.get(), path, max_bytes);
}

Result<std::string> ReadWholeFile(int fd, const std::string& path, std::size_t max_bytes) {
  TRY(std::string content, ReadUpTo(fd, max_bytes + 1, "read " + path));
  if (content.size() > max_bytes) {
    return MakeError(Code::kOutOfRange,
                     path + ": longer than " + std::to_string(max_bytes) + " bytes");
  }
  return content;
}

Result<std::uint64_t> FileSize(int fd) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return ErrnoError("fstat");
  return static_cast<std::uint64_t>(st.st_size);
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return Ok();
}

Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode) {
  const std::string temporary = path + ".tmp";
  UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return ErrnoError("create " + temporary);
  Status written = WriteAll(fd.get(), content);
  if (written && fsync(fd.get()) != 0) written = ErrnoError("fsync");
  if (!written) {
    unlink(temporary.c_str());
    return std::move(written).error().Context(temporary);
  }
  fd.Reset();
  TRY_VOID(RenameFile(temporary, path));
  return SyncDirectory(ParentOf(path));
}

Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove " + path);
  return Ok();
}

Status RenameFile(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return ErrnoError("rename " + from + " to " + to);
  return Ok();
}

Status SyncDirectory(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError("open directory " + path);
  if (fsync(fd.get()) != 0) return ErrnoError("fsync directory " + path);
  return Ok();
}

Result<UniqueFd> LockFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) return ErrnoError("open " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return FailedPrecondition(path + ": locked: another process uses this directory");
    }
    return ErrnoError("lock " + path);
  }
  return fd;
}

Result<std::uint64_t> FreeDiskBytes(const std::string& path) {
  struct statvfs st {};
  if (statvfs(path.c_str(), &st) != 0) return ErrnoError("statvfs " + path);
  return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
}

}  // namespace culprit
