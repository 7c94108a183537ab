// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/watched_tree.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace culprit {
namespace {

constexpr std::size_t kMaxPaths = 8'192;
constexpr std::size_t kMaxText = std::size_t{64} << 10;
constexpr std::size_t kMaxAllText = std::size_t{4} << 20;
constexpr std::size_t kMaxDiff = 4'096;

// Password hashes and private keys leave the host in no form.
bool MayHoldSecret(const std::string& path, const std::string& bytes) {
  return path.find("shadow") != std::string::npos ||
         bytes.find("PRIVATE KEY") != std::string::npos ||
         bytes.find("PuTTY-User-Key-File") != std::string::npos;
}

std::vector<std::string_view> LinesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

FileStateFacts StateOf(const WatchedPath& path) {
  return {path.sha256,     path.info->size,      path.info->uid,
          path.info->mode, path.info->immutable, path.info->append_only};
}

// nullopt: nothing that counts.
std::optional<PostureChangeKind> KindOf(const WatchedPath& before, const WatchedPath& after) {
  using K = PostureChangeKind;
  if (!before.info && !after.info) return std::nullopt;
  if (!before.info) return K::kCreated;
  if (!after.info) return K::kRemoved;
  const FileInfo& a = *before.info;
  const FileInfo& b = *after.info;
  if (a.kind != b.kind) return K::kChanged;
  if (b.kind == FileKind::kFile) {
    const bool hashed = before.sha256 && after.sha256 && before.limit == after.limit;
    if (hashed ? before.sha256 != after.sha256 || a.size != b.size
               : a.size != b.size || a.mtime_ns != b.mtime_ns) {
      return K::kChanged;
    }
  }
  const bool same = a.uid == b.uid && a.gid == b.gid && a.mode == b.mode &&
                    a.immutable == b.immutable && a.append_only == b.append_only;
  return same ? std::nullopt : std::optional(K::kAttributes);
}

PostureChangeFacts ChangeOf(const std::string& path, PostureChangeKind kind,
                            const WatchedPath& before, const WatchedPath& after) {
  PostureChangeFacts change;
  change.kind = kind;
  change.path = path;
  if (before.info) change.before = StateOf(before);
  if (after.info) change.after = StateOf(after);
  const bool known = (!before.info || before.text) && (!after.info || after.text);
  if (known && kind != PostureChangeKind::kAttributes)
    change.diff = DiffLines(before.text.value_or(""), after.text.value_or(""), &change.diff_cut);
  return change;
}

}  // namespace

bool IsOfClient(const std::string& path) { return BaseOf(path).starts_with("known_hosts"); }

WatchedPath* WatchedTree::Note(const std::string& path) {
  if (IsOfClient(path)) return nullptr;
  const auto known = paths_.find(path);
  if (known != paths_.end()) return &known->second;
  if (paths_.size() >= kMaxPaths) {
    full_ = true;
    return nullptr;
  }
  return &paths_[path];
}

Result<FileInfo> WatchedTree::Stat(const std::string& path) {
  auto info = inner_.Stat(path);
  if (WatchedPath* noted = Note(path)) noted->info = info ? std::optional(*info) : std::nullopt;
  return info;
}

Result<FileContent> WatchedTree::Read(const std::string& path, std::size_t limit) {
  auto content = inner_.Read(path, limit);
  WatchedPath* noted = Note(path);
  if (noted == nullptr || (noted->read && noted->limit >= limit)) return content;
  noted->read = true;
  noted->limit = limit;
  const auto info = inner_.Stat(path);
  noted->info = info ? std::optional(*info) : std::nullopt;
  if (!content) return content;
  noted->sha256 = Sha256Of(content->bytes);
  const std::size_t size = content->bytes.size();
  if (size <= kMaxText && text_bytes_ + size <= kMaxAllText &&
      !MayHoldSecret(path, content->bytes)) {
    text_bytes_ += size;
    noted->text = content->bytes;
  }
  return content;
}

Result<DirectoryList> WatchedTree::List(const std::string& path, std::size_t limit) {
  (void)Stat(path);
  if (WatchedPath* noted = Note(path)) noted->listed = true;
  return inner_.List(path, limit);
}

std::vector<PostureChangeFacts> CompareWatched(const WatchedPaths& before,
                                               const WatchedPaths& after, std::size_t limit,
                                               std::size_t* more) {
  const WatchedPath nothing;
  std::vector<PostureChangeFacts> changes;
  *more = 0;
  const auto compare = [&](const std::string& path, const WatchedPath& a, const WatchedPath& b) {
    const auto kind = KindOf(a, b);
    if (!kind) return;
    if (changes.size() < limit) {
      changes.push_back(ChangeOf(path, *kind, a, b));
    } else {
      ++*more;
    }
  };
  for (const auto& [path, now] : after) {
    const auto then = before.find(path);
    compare(path, then == before.end() ? nothing : then->second, now);
  }
  for (const auto& [path, then] : before)
    if (!after.contains(path)) compare(path, then, nothing);
  return changes;
}

std::string DiffLines(std::string_view before, std::string_view after, bool* cut) {
  const auto old_lines = LinesOf(before);
  const auto new_lines = LinesOf(after);
  // A line that stands in both is no difference, wherever it stands: what matters of these files is
  // which lines there are.
  std::unordered_map<std::string_view, std::int64_t> balance;
  for (const std::string_view line : new_lines) ++balance[line];
  for (const std::string_view line : old_lines) --balance[line];
  std::string out;
  *cut = false;
  const auto add = [&](char sign, std::string_view line) {
    if (*cut) return;
    *cut = out.size() + line.size() + 2 > kMaxDiff;
    if (*cut) line = line.substr(0, kMaxDiff - std::min(kMaxDiff, out.size() + 2));
    if (line.empty() && *cut) return;
    out += sign;
    out.append(line) += '\n';
  };
  for (const std::string_view line : old_lines)
    if (balance[line]++ < 0) add('-', line);
  for (auto& [line, count] : balance) count = 0;
  for (const std::string_view line : new_lines) ++balance[line];
  for (const std::string_view line : old_lines) --balance[line];
  for (const std::string_view line : new_lines)
    if (balance[line]-- > 0) add('+', line);
  if (out.empty() && before != after) out = "~the same lines in another order\n";
  return out;
}

}  // namespace culprit
