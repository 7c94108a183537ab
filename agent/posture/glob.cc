// SPDX-License-Identifier: Apache-2.0
#include <fnmatch.h>

#include <algorithm>

#include "agent/posture/file_tree.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxNames = 4096;

bool HasWildcard(const std::string& part) { return part.find_first_of("*?[") != std::string::npos; }

// glob(3) takes a backslash before any character as that character.
std::string Unescape(const std::string& part) {
  std::string plain;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '\\' && i + 1 < part.size()) ++i;
    plain += part[i];
  }
  return plain;
}

std::string Join(const std::string& folder, const std::string& name) {
  return folder.empty() || folder.back() == '/' ? folder + name : folder + "/" + name;
}

bool IsFolder(FileTree& tree, const std::string& path) {
  const auto info = tree.Stat(path);
  return info && info->kind == FileKind::kDirectory;
}

// All paths that `found` becomes by one more part of the pattern.
std::vector<std::string> Step(FileTree& tree, const std::vector<std::string>& found,
                              const std::string& part, bool last, std::size_t limit) {
  std::vector<std::string> next;
  for (const std::string& folder : found) {
    std::vector<std::string> names;
    if (!HasWildcard(part)) {
      names.push_back(Unescape(part));
    } else if (auto list = tree.List(folder, kMaxNames)) {
      std::copy_if(list->names.begin(), list->names.end(), std::back_inserter(names),
                   [&](const std::string& name) {
                     return fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) == 0;
                   });
    }
    for (const std::string& name : names) {
      const std::string path = Join(folder, name);
      if (next.size() >= limit) return next;
      if (last ? tree.Look(path).has_value() : IsFolder(tree, path)) next.push_back(path);
    }
  }
  return next;
}

}  // namespace

std::vector<std::string> Glob(FileTree& tree, const std::string& pattern, std::size_t limit) {
  if (pattern.empty() || pattern[0] != '/') return {};
  std::vector<std::string> found = {"/"};
  std::size_t at = 1;
  while (at < pattern.size()) {
    const std::size_t end = std::min(pattern.find('/', at), pattern.size());
    const std::string part = pattern.substr(at, end - at);
    at = end + 1;
    if (part.empty()) continue;
    found = Step(tree, found, part, at >= pattern.size(), limit);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string BaseOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace culprit
