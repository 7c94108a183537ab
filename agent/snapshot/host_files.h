// SPDX-License-Identifier: Apache-2.0
// HostFiles: the files of the host under suspicion, opened so that nothing there can lead astray,
// block or notice: no symbolic link is followed, nothing but regular files is opened for reading,
// access times stay. Paths on file systems that somebody else answers for (FUSE, network) are
// refused: their server may be stopped.
//
// Stage: snapshot (edge: files). Thread: one caller.
#ifndef CULPRIT_AGENT_SNAPSHOT_HOST_FILES_H_
#define CULPRIT_AGENT_SNAPSHOT_HOST_FILES_H_

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/snapshot/evidence.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct FileEntry {
  std::string path;
  mode_t mode = 0;
  std::string link;  // where a symbolic link points
  FileFacts facts;
};

class HostFiles {
 public:
  // `root`: "/" or where an image is mounted.
  static Result<HostFiles> Open(const std::string& root);

  Result<FileEntry> Look(const std::string& path) const;
  // Errors: kFailedPrecondition if it is not a regular file.
  Result<UniqueFd> OpenRegular(const std::string& path, FileEntry* entry) const;
  // A text of /proc or /sys, or a small file: at most `limit` bytes of it.
  Result<std::string> Read(const std::string& path, std::size_t limit) const;
  // Unsorted, without "." and ".."; `cut` if there are more than `limit`.
  Result<std::vector<std::string>> List(const std::string& path, std::size_t limit,
                                        bool* cut) const;
  bool OnForeignFileSystem(std::string_view path) const;

 private:
  explicit HostFiles(UniqueFd root) : root_(std::move(root)) {}
  Result<UniqueFd> OpenPlace(const std::string& path) const;

  UniqueFd root_;
  std::vector<std::string> foreign_;  // mount points
};

// What of a file is recorded; `fd` may be of O_PATH.
Result<FileFacts> FactsOf(int fd, mode_t* mode);
// read(2) until the end or `limit`.
Result<std::string> ReadBounded(int fd, std::size_t limit);
// openat and ReadBounded: for files of procfs.
Result<std::string> ReadAt(int directory, const std::string& path, std::size_t limit);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_HOST_FILES_H_
