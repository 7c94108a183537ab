// SPDX-License-Identifier: Apache-2.0
// The few file operations that durable state is made of: bounded read, atomic replace, directory sync, lock.
// Stage: common, edge (files). Thread: no shared state; a lock belongs to its descriptor.
// Failure: every function names the path and the system's reason.
#ifndef CULPRIT_COMMON_FILE_H_
#define CULPRIT_COMMON_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

// Creates `path` and its missing parents with `mode`, to survive a power cut. Fine if it exists.
Status MakeDirectories(const std::string& path, mode_t mode);
// Names in a directory, sorted, without "." and "..".
Result<std::vector<std::string>> ListDirectory(const std::string& path);
Result<UniqueFd> OpenReadOnly(const std::string& path);
// By which a descriptor of this process is opened anew, whatever has become of its own path.
std::string DescriptorPath(int fd);
// Where a symbolic link leads; relative to a directory's descriptor, or with "" the link that is
// open.
Result<std::string> ReadLink(const std::string& path);
Result<std::string> ReadLinkAt(int directory, const std::string& path);
// At most `limit` bytes from where `fd` stands; fewer at the end. An error begins with `what`.
Result<std::string> ReadUpTo(int fd, std::size_t limit, std::string_view what);
// From `offset` on, wherever `fd` stands.
Result<std::string> PreadUpTo(int fd, std::uint64_t offset, std::size_t limit,
                              std::string_view what);
// The whole file. Errors: kOutOfRange if it is longer than `max_bytes`.
Result<std::string> ReadWholeFile(const std::string& path, std::size_t max_bytes);
// As above, of what was looked at already: `path` may be another file by now, and is named in
// errors only.
Result<std::string> ReadWholeFile(int fd, const std::string& path, std::size_t max_bytes);
Result<std::uint64_t> FileSize(int fd);
// write(2) until all is written. On an error some of it may be.
Status WriteAll(int fd, std::string_view bytes);
// Readers and power cuts see the old content or the new one: temporary file, fsync, rename, directory fsync.
Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode = 0640);
// unlink(2); fine if it is gone already. Not durable until SyncDirectory().
Status RemoveFile(const std::string& path);
Status RenameFile(const std::string& from, const std::string& to);
// fsync(2) of a directory, so that a created, renamed or removed entry survives a power cut.
Status SyncDirectory(const std::string& path);
// An exclusive lock, held until the descriptor is closed. Errors: kFailedPrecondition while another process holds it.
Result<UniqueFd> LockFile(const std::string& path);
// Bytes that an unprivileged writer can still use on the file system of `path`.
Result<std::uint64_t> FreeDiskBytes(const std::string& path);

}  // namespace culprit

#endif  // CULPRIT_COMMON_FILE_H_
