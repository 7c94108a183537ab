// SPDX-License-Identifier: Apache-2.0
#include "agent/source/mounts.h"

#include <algorithm>
#include <array>
#include <optional>

#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

// \040 and the like, as the kernel writes blanks, tabs, line ends and backslashes.
std::string Unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](std::size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '7';
    };
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::optional<Mount> ParseLine(std::string_view line) {
  Mount mount;
  NextUntil(&line, ' ');  // mount id
  NextUntil(&line, ' ');  // parent id
  const std::string_view device = NextUntil(&line, ' ');
  const std::size_t colon = device.find(':');
  if (colon == std::string_view::npos || !ParseWhole(device.substr(0, colon), &mount.dev_major) ||
      !ParseWhole(device.substr(colon + 1), &mount.dev_minor)) {
    return std::nullopt;
  }
  NextUntil(&line, ' ');  // root
  mount.mount_point = Unescape(NextUntil(&line, ' '));
  while (!line.empty() && NextUntil(&line, ' ') != "-") {
  }
  mount.fs_type = std::string(NextUntil(&line, ' '));
  if (mount.mount_point.empty() || mount.fs_type.empty()) return std::nullopt;
  return mount;
}

}  // namespace

std::vector<Mount> ParseMountinfo(std::string_view text) {
  std::vector<Mount> mounts;
  while (!text.empty()) {
    if (auto mount = ParseLine(NextLine(&text))) mounts.push_back(std::move(*mount));
  }
  return mounts;
}

bool HoldsPrograms(std::string_view fs_type) {
  // Served by a program or another host, which may never answer: a mark asks the file system, and the agent would hang
  // with it. Programs on them run without a hash.
  static constexpr std::array<std::string_view, 8> kAnsweredElsewhere = {
      "fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "virtiofs"};
  if (std::any_of(kAnsweredElsewhere.begin(), kAnsweredElsewhere.end(),
                  [fs_type](std::string_view kind) { return fs_type.starts_with(kind); })) {
    return false;
  }
  static constexpr std::array<std::string_view, 18> kNone = {
      "proc",    "sysfs",    "cgroup",  "cgroup2",   "devpts",     "mqueue",
      "bpf",     "tracefs",  "debugfs", "pstore",    "securityfs", "configfs",
      "fusectl", "efivarfs", "nsfs",    "selinuxfs", "autofs",     "binfmt_misc"};
  return std::find(kNone.begin(), kNone.end(), fs_type) == kNone.end();
}

}  // namespace culprit
