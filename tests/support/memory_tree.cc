// SPDX-License-Identifier: Apache-2.0
#include "tests/support/memory_tree.h"

#include <set>

namespace culprit {

void MemoryTree::MakeFolder(const std::string& path, std::uint32_t mode, std::uint32_t uid) {
  if (path != "/" && nodes_.count(ParentOf(path)) == 0) MakeFolder(ParentOf(path));
  Node& node = nodes_[path];
  node.info.kind = FileKind::kDirectory;
  node.info.mode = mode;
  node.info.uid = uid;
}

void MemoryTree::Write(const std::string& path, const std::string& bytes, std::uint32_t mode,
                       std::uint32_t uid) {
  if (nodes_.count(ParentOf(path)) == 0) MakeFolder(ParentOf(path));
  Node node;
  node.info.mode = mode;
  node.info.uid = uid;
  node.info.size = bytes.size();
  node.bytes = bytes;
  nodes_[path] = node;
}

void MemoryTree::Link(const std::string& path, const std::string& target) {
  Write(path, target);
  nodes_[path].info.kind = FileKind::kSymlink;
}

Result<FileInfo> MemoryTree::Look(const std::string& path) {
  const auto it = nodes_.find(path);
  if (it == nodes_.end()) return NotFound(path);
  return it->second.info;
}

Result<FileInfo> MemoryTree::Stat(const std::string& path) {
  TRY(const std::string real, Resolve(path));
  return Look(real);
}

Result<std::string> MemoryTree::Resolve(const std::string& path) {
  std::string at = path;
  for (int hops = 0; hops < 8; ++hops) {
    const auto it = nodes_.find(at);
    if (it == nodes_.end()) return NotFound(path);
    if (it->second.info.kind != FileKind::kSymlink) return at;
    at = it->second.bytes;
  }
  return MakeError(Code::kOutOfRange, path + ": a loop of links");
}

Result<FileContent> MemoryTree::Read(const std::string& path, std::size_t limit) {
  TRY(const std::string real, Resolve(path));
  const Node& node = nodes_.at(real);
  if (node.info.kind != FileKind::kFile) return FailedPrecondition(path + ": not a regular file");
  return FileContent{node.bytes.substr(0, limit), node.bytes.size() > limit, false};
}

Result<DirectoryList> MemoryTree::List(const std::string& path, std::size_t limit) {
  TRY(const FileInfo info, Stat(path));
  if (info.kind != FileKind::kDirectory) return FailedPrecondition(path + ": not a folder");
  std::set<std::string> names;
  for (const auto& [name, node] : nodes_)
    if (name != "/" && ParentOf(name) == path) names.insert(BaseOf(name));
  DirectoryList list;
  for (const std::string& name : names) {
    list.cut = list.names.size() >= limit;
    if (list.cut) break;
    list.names.push_back(name);
  }
  return list;
}

}  // namespace culprit
