// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/programs.h"

#include <algorithm>
#include <array>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr auto kTools = std::to_array<std::string_view>(
    {"ash",   "awk",     "aws",    "az",     "bash",  "busybox", "bun",    "curl",  "dash",
     "deno",  "docker",  "fish",   "gawk",   "gcloud", "git",    "java",   "ksh",   "lua",
     "mawk",  "nc",      "ncat",   "netcat", "node",  "nodejs",  "openssl", "perl", "php",
     "pwsh",  "pypy",    "python", "rclone", "rsync", "ruby",    "s3cmd",  "scp",   "sftp",
     "sh",    "socat",   "ssh",    "sshd",   "sshd-session", "tclsh", "telnet", "toybox",
     "wget",  "zsh"});
constexpr auto kSystemPlaces = std::to_array<std::string_view>(
    {"/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/lib64/", "/usr/libexec/", "/bin/", "/sbin/",
     "/lib/", "/lib64/", "/snap/"});

}  // namespace

bool IsGeneralTool(std::string_view exe) {
  std::string_view name = BaseName(WithoutDeleted(exe));
  // "python3.11", "ruby2.7", "nc.openbsd", "lua5.4".
  const std::size_t version = name.find_first_of("0123456789.");
  const std::string_view stem = name.substr(0, version);
  const auto is_tool = [](std::string_view what) {
    return std::find(kTools.begin(), kTools.end(), what) != kTools.end();
  };
  return is_tool(name) || is_tool(stem);
}

bool IsSystemPath(std::string_view exe) {
  return std::any_of(kSystemPlaces.begin(), kSystemPlaces.end(),
                     [exe](std::string_view place) { return exe.starts_with(place); });
}

}  // namespace culprit
