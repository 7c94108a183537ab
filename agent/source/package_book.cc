// SPDX-License-Identifier: Apache-2.0
#include "agent/source/package_book.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/file.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr unsigned kNumberBits = 14;
constexpr std::uint32_t kMaxLists = 1U << kNumberBits;
constexpr std::size_t kMaxEntries = 500'000;
constexpr std::size_t kMaxTextBytes = 16U << 20;
constexpr std::string_view kDatabase = "/var/lib/dpkg/";
constexpr std::string_view kListSuffix = ".list";

// FNV-1a, whose lowest bits make room for the list's number. Whoever makes two paths collide gains
// nothing: the list itself is asked then.
std::uint64_t HashOf(std::string_view path) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash & ~std::uint64_t{kMaxLists - 1};
}

std::int64_t ModifiedNs(const struct stat& st) {
  return static_cast<std::int64_t>(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec;
}

std::string PackageOf(std::string_view list) { return std::string(list.substr(0, list.find(':'))); }

}  // namespace

std::string PackageBook::FolderOf(std::string_view file) const {
  return root_ + std::string(kDatabase) + std::string(file);
}

void PackageBook::AddList(const std::string& name, std::uint32_t number) {
  const auto text =
      ReadWholeFile(FolderOf("info/" + name + std::string(kListSuffix)), kMaxTextBytes);
  if (!text) {
    known_ = known_ && text.error().code == Code::kNotFound;
    return;
  }
  ForEachListed(*text, [&](std::string_view path) {
    if (entries_.size() >= kMaxEntries) {
      known_ = false;
      return;
    }
    entries_.push_back(HashOf(PlainPath(path, merged_)) | number);
  });
}

// Reads what changed. False: not all that there is fits.
bool PackageBook::ReadLists(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(folder.c_str()), closedir);
  if (directory == nullptr) return false;
  for (auto& [name, list] : lists_) list.seen = false;
  std::set<std::uint32_t> stale;
  std::set<std::string> fresh;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view file = entry->d_name;
    struct stat st {};
    if (!file.ends_with(kListSuffix) ||
        fstatat(dirfd(directory.get()), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode)) {
      continue;
    }
    const std::string name(file.substr(0, file.size() - kListSuffix.size()));
    if (lists_.size() >= kMaxLists && !lists_.contains(name)) return false;
    List& list = lists_[name];
    list.seen = true;
    const auto size = static_cast<std::uint64_t>(st.st_size);
    if (list.inode == st.st_ino && list.size == size && list.modified_ns == ModifiedNs(st))
      continue;
    if (list.inode != 0) stale.insert(list.number);
    list = {list.number, st.st_ino, size, ModifiedNs(st), true};
    fresh.insert(name);
  }
  for (const auto& [name, list] : lists_) {
    if (!list.seen) stale.insert(list.number);
  }
  std::erase_if(entries_, [&stale](std::uint64_t entry) {
    return stale.contains(static_cast<std::uint32_t>(entry & (kMaxLists - 1)));
  });
  std::erase_if(lists_, [](const auto& one) { return !one.second.seen; });
  names_.clear();
  for (const auto& [name, list] : lists_) {
    if (!fresh.contains(name)) names_[list.number] = name;
  }
  for (const std::string& name : fresh) {
    while (names_.contains(next_number_)) next_number_ = (next_number_ + 1) % kMaxLists;
    lists_[name].number = next_number_;
    names_[next_number_] = name;
    AddList(name, next_number_);
  }
  std::sort(entries_.begin(), entries_.end());
  return true;
}

void PackageBook::ReadDiversions() {
  const auto text = ReadWholeFile(FolderOf("diversions"), kMaxTextBytes);
  diversions_ = text ? ParseDiversions(*text) : std::vector<Diversion>();
}

void PackageBook::Refresh() {
  const std::string folder = FolderOf("info");
  struct stat st {};
  if (stat(folder.c_str(), &st) != 0) {
    known_ = false;
    read_at_ns_ = 0;
    return;
  }
  if (read_at_ns_ == ModifiedNs(st)) return;
  struct stat bin {};
  merged_ = lstat((root_ + "/bin").c_str(), &bin) == 0 && S_ISLNK(bin.st_mode);
  known_ = true;
  known_ = ReadLists(folder) && known_ && !lists_.empty();
  ReadDiversions();
  entries_.shrink_to_fit();
  malloc_trim(0);  // of the texts, megabytes together
  read_at_ns_ = ModifiedNs(st);
}

// Who unpacks holds dpkg's lock, and writes a package's list only after its files.
bool PackageBook::IsBeingInstalled() const {
  const UniqueFd lock(open(FolderOf("lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!lock) return false;
  struct flock asked {};
  asked.l_type = F_WRLCK;
  asked.l_whence = SEEK_SET;
  return fcntl(lock.get(), F_GETLK, &asked) == 0 && asked.l_type != F_UNLCK;
}

std::string_view PackageBook::ListedAs(std::string_view path) const {
  std::string_view listed = path;
  for (const Diversion& diversion : diversions_) {
    if (PlainPath(diversion.to, merged_) == path) listed = PlainPath(diversion.from, merged_);
  }
  return listed;
}

std::string PackageBook::ListOf(std::string_view path) const {
  const std::string_view listed = ListedAs(path);
  std::string_view only;
  for (const Diversion& diversion : diversions_) {
    if (PlainPath(diversion.from, merged_) == path) only = diversion.by;
  }
  const std::uint64_t hash = HashOf(listed);
  for (auto it = std::lower_bound(entries_.begin(), entries_.end(), hash);
       it != entries_.end() && (*it & ~std::uint64_t{kMaxLists - 1}) == hash; ++it) {
    const auto found = names_.find(static_cast<std::uint32_t>(*it & (kMaxLists - 1)));
    if (found == names_.end()) continue;
    const std::string& name = found->second;
    if (!only.empty() && PackageOf(name) != only) continue;
    const auto text =
        ReadWholeFile(FolderOf("info/" + name + std::string(kListSuffix)), kMaxTextBytes);
    bool holds = false;
    if (text) {
      ForEachListed(
          *text, [&](std::string_view one) { holds = holds || PlainPath(one, merged_) == listed; });
    }
    if (holds) return name;
  }
  return "";
}

PackageClaim PackageBook::Claim(const std::string& path, const struct stat& st) {
  PackageClaim claim;
  // Images of snaps are packages of another kind.
  if (!path.starts_with('/') || path.starts_with("/snap/")) return claim;
  struct stat here {};
  if (stat((root_ + path).c_str(), &here) != 0 || here.st_dev != st.st_dev ||
      here.st_ino != st.st_ino) {
    return claim;
  }
  Refresh();
  if (!known_) return claim;
  const std::string_view plain = PlainPath(path, merged_);
  const std::string list = ListOf(plain);
  if (list.empty()) {
    if (!IsBeingInstalled()) claim.facts.state = PackageState::kNone;
    return claim;
  }
  claim.facts = {PackageState::kListed, PackageOf(list)};
  if (const auto sums = ReadWholeFile(FolderOf("info/" + list + ".md5sums"), kMaxTextBytes)) {
    claim.md5 = DigestOf(*sums, ListedAs(plain), merged_);
  }
  return claim;
}

}  // namespace culprit
