// SPDX-License-Identifier: Apache-2.0
// PackageBook: which package of the host a file belongs to, by dpkg's own lists. Nothing is run.
//
// Stage: source (edge: files). Thread: one caller, which may wait for the disk: the hasher's.
// Bounded: eight bytes a listed file (half a million at most), one list at a time in memory; read
// again only where a list changed. Failure: what cannot be known is kUnknown, never kNone: no dpkg
// (rpm's database is not read), a file of another root (a container), a file that was replaced or
// removed, an installation that is going on. The lists are the suspect's: who is root can write
// himself into one.
#ifndef CULPRIT_AGENT_SOURCE_PACKAGE_BOOK_H_
#define CULPRIT_AGENT_SOURCE_PACKAGE_BOOK_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/package.h"
#include "agent/source/dpkg_text.h"

struct stat;

namespace culprit {

struct PackageClaim {
  PackageFacts facts;  // kUnknown, kNone or kListed
  std::string md5;     // lower-case digits, of kListed; empty = the package has none for it
};

class PackageBook {
 public:
  // `root` is where the host's file system begins: "" for /.
  explicit PackageBook(std::string root) : root_(std::move(root)) {}

  // Reads the lists, or what changed of them. Claim() does so, too; the first time takes a moment.
  void Refresh();
  // Of the file that has `st` and is told to be at `path`.
  PackageClaim Claim(const std::string& path, const struct stat& st);

 private:
  struct List {
    std::uint32_t number = 0;
    std::uint64_t inode = 0, size = 0;
    std::int64_t modified_ns = 0;
    bool seen = false;
  };

  bool ReadLists(const std::string& folder);
  void ReadDiversions();
  void AddList(const std::string& name, std::uint32_t number);
  bool IsBeingInstalled() const;
  // The path that the lists have for what lies at `path`: its own, unless it was diverted.
  std::string_view ListedAs(std::string_view path) const;
  // Name of the list that holds the path; empty = none does.
  std::string ListOf(std::string_view path) const;
  std::string FolderOf(std::string_view file) const;

  const std::string root_;
  bool known_ = false;                          // dpkg's lists are there and all of them fit
  bool merged_ = false;                         // /bin is a link into /usr
  std::int64_t read_at_ns_ = 0;                 // modification of the folder of lists
  std::map<std::string, List> lists_;           // by name, "libc6:amd64"
  std::map<std::uint32_t, std::string> names_;  // by number
  std::uint32_t next_number_ = 0;
  std::vector<std::uint64_t> entries_;  // hash of the path and the list's number; sorted
  std::vector<Diversion> diversions_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_PACKAGE_BOOK_H_
