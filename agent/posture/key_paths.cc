// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/key_paths.h"

#include <algorithm>

namespace culprit {
namespace {

std::string ModeText(std::uint32_t mode) {
  std::string text = "0000";
  for (std::size_t i = 4; i-- > 0; mode >>= 3U) text[i] = static_cast<char>('0' + (mode & 7U));
  return text;
}

std::string Facts(const std::string& path, const FileInfo& info) {
  return path + " has owner " + std::to_string(info.uid) + " and mode " + ModeText(info.mode);
}

}  // namespace

std::optional<std::string> ExpandKeyPath(std::string_view pattern, const Account& account) {
  std::string path;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] != '%') {
      path += pattern[at];
      continue;
    }
    switch (++at < pattern.size() ? pattern[at] : '\0') {
      case '%':
        path += '%';
        break;
      case 'h':
        path += account.home;
        break;
      case 'u':
        path += account.name;
        break;
      case 'U':
        path += std::to_string(account.uid);
        break;
      default:
        return std::nullopt;
    }
  }
  if (path.empty() || path[0] != '/') path = account.home + "/" + path;
  return path;
}

// The group's only member is the file's owner, who is the user; a group of nobody does not count.
bool KeyPathRules::OnlyOwnersGroup(const FileInfo& info, std::uint32_t uid) const {
  const auto group =
      std::find_if(accounts_->groups().begin(), accounts_->groups().end(),
                   [&](const Group& candidate) { return candidate.gid == info.gid; });
  const Account* owner = accounts_->FindUid(info.uid);
  if (group == accounts_->groups().end() || owner == nullptr) return false;
  bool any = false;
  for (const Account& account : accounts_->all()) {
    if (account.gid != info.gid) continue;
    if (account.uid != uid) return false;
    any = true;
  }
  for (const std::string& member : group->members) {
    if (member.empty()) continue;
    if (member != owner->name) return false;
    any = true;
  }
  return any;
}

bool KeyPathRules::Secure(const FileInfo& info, std::uint32_t uid) const {
  if (info.uid != 0 && info.uid != uid) return false;
  if (!debian_) return (info.mode & 022U) == 0;
  if ((info.mode & 02U) != 0) return false;
  return (info.mode & 020U) == 0 || OnlyOwnersGroup(info, uid);
}

std::string KeyPathRules::UnsafeBecause(const std::string& path, const Account& account) const {
  const auto real = tree_->Resolve(path);
  if (!real) return path + " cannot be resolved";
  const std::string home = tree_->Resolve(account.home).value_or("");
  for (std::string at = *real;; at = ParentOf(at)) {
    const auto info = tree_->Stat(at);
    if (!info) return at + " cannot be looked at";
    if (!Secure(*info, account.uid)) return Facts(at, *info);
    if (at == "/" || (at != *real && at == home)) return "";
  }
}

bool KeyPathRules::Allowed(const FileInfo& info, const Account& account, std::uint32_t bit) const {
  if (info.uid == account.uid) return (info.mode >> 6U & bit) != 0;
  for (const Group& group : accounts_->groups()) {
    const bool member =
        group.gid == account.gid ||
        std::find(group.members.begin(), group.members.end(), account.name) != group.members.end();
    if (group.gid == info.gid && member) return (info.mode >> 3U & bit) != 0;
  }
  if (info.gid == account.gid) return (info.mode >> 3U & bit) != 0;
  return (info.mode & bit) != 0;
}

bool KeyPathRules::UserCanRead(const std::string& path, const Account& account) const {
  if (account.uid == 0) return true;
  const auto real = tree_->Resolve(path);
  if (!real) return false;
  const auto file = tree_->Stat(*real);
  if (!file || !Allowed(*file, account, 4)) return false;
  for (std::string at = ParentOf(*real);; at = ParentOf(at)) {
    const auto folder = tree_->Stat(at);
    if (!folder || !Allowed(*folder, account, 1)) return false;
    if (at == "/") return true;
  }
}

}  // namespace culprit
