// SPDX-License-Identifier: Apache-2.0
// DiskTree: a FileTree on the disk, from "/" or from where an image is mounted. Stage: posture,
// edge. Thread: one caller. Nothing below the root can lead out of it (openat2, RESOLVE_IN_ROOT:
// Linux 5.6), nothing is opened that could wait (pipes, devices), and access times stay as they are
// where the caller owns the file.
#ifndef CULPRIT_AGENT_POSTURE_DISK_TREE_H_
#define CULPRIT_AGENT_POSTURE_DISK_TREE_H_

#include <memory>
#include <string>

#include "agent/posture/file_tree.h"
#include "common/unique_fd.h"

namespace culprit {

class DiskTree final : public FileTree {
 public:
  static Result<std::unique_ptr<DiskTree>> Open(const std::string& root);

  Result<FileInfo> Look(const std::string& path) override;
  Result<FileInfo> Stat(const std::string& path) override;
  Result<std::string> Resolve(const std::string& path) override;
  Result<FileContent> Read(const std::string& path, std::size_t limit) override;
  Result<DirectoryList> List(const std::string& path, std::size_t limit) override;

 private:
  DiskTree(UniqueFd root, std::string name) : root_(std::move(root)), name_(std::move(name)) {}
  Result<UniqueFd> OpenPath(const std::string& path, bool follow) const;

  UniqueFd root_;
  std::string name_;  // what the kernel calls the root; empty for "/"
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_DISK_TREE_H_
