// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/container_id.h"

#include <algorithm>
#include <array>

namespace culprit {
namespace {

constexpr std::size_t kIdLength = 64;

bool IsId(std::string_view text) {
  return text.size() == kIdLength && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// What one name on the path says: HEX, PREFIX-HEX[.scope|.service], or HEX after a colon (systemd cgroup driver of
// containerd: "slice:prefix:HEX").
std::string_view IdInName(std::string_view name) {
  for (const std::string_view suffix : {".scope", ".service"}) {
    if (name.ends_with(suffix)) {
      name.remove_suffix(suffix.size());
      break;
    }
  }
  if (IsId(name)) return name;
  static constexpr std::array<std::string_view, 7> kPrefixes{
      "docker-", "cri-containerd-", "crio-", "libpod-", "containerd-", "nerdctl-", "cri-o-"};
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix) && IsId(name.substr(prefix.size()))) {
      return name.substr(prefix.size());
    }
  }
  const std::size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && IsId(name.substr(colon + 1))) return name.substr(colon + 1);
  return {};
}

}  // namespace

std::string ContainerIdFromCgroup(std::string_view cgroup) {
  while (!cgroup.empty()) {
    const std::size_t slash = cgroup.rfind('/');
    const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    if (const std::string_view id = IdInName(cgroup.substr(begin)); !id.empty()) {
      return std::string(id);
    }
    cgroup = cgroup.substr(0, begin == 0 ? 0 : slash);
  }
  return {};
}

}  // namespace culprit
