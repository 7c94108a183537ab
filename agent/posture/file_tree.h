// SPDX-License-Identifier: Apache-2.0
// FileTree: the files of a host as posture reads them, so that every parser and check runs on a
// live host, on a mounted image (--root) and on a tree in memory alike.
//
// Stage: posture, port; DiskTree (disk_tree.h) is the edge. Thread: one caller. Paths are absolute
// paths of the host that is looked at; symbolic links are followed inside its root only. Failure:
// kNotFound, kPermissionDenied, kOutOfRange (a loop of links), kFailedPrecondition (not a file).
#ifndef CULPRIT_AGENT_POSTURE_FILE_TREE_H_
#define CULPRIT_AGENT_POSTURE_FILE_TREE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace culprit {

enum class FileKind : std::uint8_t { kFile, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileKind kind = FileKind::kFile;
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t mode = 0644;  // the lowest twelve bits
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  bool immutable = false, append_only = false;  // the +i and +a of lsattr
};

struct FileContent {
  std::string bytes;
  bool cut = false;      // there was more than the limit
  bool changed = false;  // somebody wrote while it was read
};

struct DirectoryList {
  std::vector<std::string> names;  // sorted, without "." and ".."
  bool cut = false;
};

class FileTree {
 public:
  virtual ~FileTree() = default;
  // What the path itself is (lstat).
  virtual Result<FileInfo> Look(const std::string& path) = 0;
  // What it leads to (stat), with the attributes of lsattr where they can be had.
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  // The path without links, "." and ".." (realpath).
  virtual Result<std::string> Resolve(const std::string& path) = 0;
  // At most `limit` bytes of a regular file; never waits, whatever the path turns out to be.
  virtual Result<FileContent> Read(const std::string& path, std::size_t limit) = 0;
  virtual Result<DirectoryList> List(const std::string& path, std::size_t limit) = 0;
};

// Paths that match a pattern as glob(3) finds them, sorted, at most `limit`.
std::vector<std::string> Glob(FileTree& tree, const std::string& pattern, std::size_t limit);

// The part before the last slash: "/" for "/x".
std::string ParentOf(const std::string& path);
std::string BaseOf(const std::string& path);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_FILE_TREE_H_
