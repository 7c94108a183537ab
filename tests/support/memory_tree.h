// SPDX-License-Identifier: Apache-2.0
// MemoryTree: a FileTree of what a test says, with owners and modes that a test without root cannot
// make on a disk. Folders above a file come by themselves: root's, 0755. Thread: one owner.
#ifndef CULPRIT_TESTS_SUPPORT_MEMORY_TREE_H_
#define CULPRIT_TESTS_SUPPORT_MEMORY_TREE_H_

#include <map>
#include <string>

#include "agent/posture/file_tree.h"

namespace culprit {

class MemoryTree final : public FileTree {
 public:
  void Write(const std::string& path, const std::string& bytes, std::uint32_t mode = 0644,
             std::uint32_t uid = 0);
  void MakeFolder(const std::string& path, std::uint32_t mode = 0755, std::uint32_t uid = 0);
  void Link(const std::string& path, const std::string& target);
  FileInfo& InfoOf(const std::string& path) { return nodes_.at(path).info; }
  void Remove(const std::string& path) { nodes_.erase(path); }

  Result<FileInfo> Look(const std::string& path) override;
  Result<FileInfo> Stat(const std::string& path) override;
  Result<std::string> Resolve(const std::string& path) override;
  Result<FileContent> Read(const std::string& path, std::size_t limit) override;
  Result<DirectoryList> List(const std::string& path, std::size_t limit) override;

 private:
  struct Node {
    FileInfo info;
    std::string bytes;  // of a link: where it leads
  };
  std::map<std::string, Node> nodes_;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_MEMORY_TREE_H_
