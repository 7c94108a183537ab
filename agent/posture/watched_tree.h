// SPDX-License-Identifier: Apache-2.0
// WatchedTree: a FileTree that remembers what was read through it, so that the same look taken
// later shows what has changed. What a look at SSH reads is what sshd reads.
//
// Stage: posture, pure behind its port. Thread: one caller. Bounded: 8,192 paths, text of 64 KiB a
// file and 4 MiB in all; what may hold a secret is remembered by its hash alone.
#ifndef CULPRIT_AGENT_POSTURE_WATCHED_TREE_H_
#define CULPRIT_AGENT_POSTURE_WATCHED_TREE_H_

#include <map>
#include <optional>
#include <string>

#include "agent/model/posture_facts.h"
#include "agent/posture/file_tree.h"

namespace culprit {

struct WatchedPath {
  std::optional<FileInfo> info;  // nullopt: there is nothing, or it cannot be seen
  bool read = false;             // its content counts
  bool listed = false;           // a folder in which a new name counts
  std::size_t limit = 0;         // of what was read
  std::optional<Sha256Digest> sha256;
  std::optional<std::string> text;  // nullopt: too long, or may hold a secret
};
using WatchedPaths = std::map<std::string, WatchedPath>;

class WatchedTree final : public FileTree {
 public:
  explicit WatchedTree(FileTree& inner) : inner_(inner) {}

  Result<FileInfo> Look(const std::string& path) override { return inner_.Look(path); }
  Result<FileInfo> Stat(const std::string& path) override;
  Result<std::string> Resolve(const std::string& path) override { return inner_.Resolve(path); }
  Result<FileContent> Read(const std::string& path, std::size_t limit) override;
  Result<DirectoryList> List(const std::string& path, std::size_t limit) override;

  WatchedPaths Take() { return std::move(paths_); }
  bool full() const { return full_; }

 private:
  WatchedPath* Note(const std::string& path);

  FileTree& inner_;
  WatchedPaths paths_;
  std::size_t text_bytes_ = 0;
  bool full_ = false;
};

// What is different, in the order of paths, without who did it. At most `limit`; `more` counts the
// rest.
std::vector<PostureChangeFacts> CompareWatched(const WatchedPaths& before,
                                               const WatchedPaths& after, std::size_t limit,
                                               std::size_t* more);

// Written by every outgoing connection, and nothing that a server reads.
bool IsOfClient(const std::string& path);

// Lines taken away with "-", then new ones with "+", each in their order; at most 4 KiB, then
// `cut`. Where only the order is another, it says so.
std::string DiffLines(std::string_view before, std::string_view after, bool* cut);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_WATCHED_TREE_H_
