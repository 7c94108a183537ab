// SPDX-License-Identifier: Apache-2.0
// PasswdNames: names of local users from the passwd file itself. No NSS: it would load modules into
// a privileged process and may ask the network. Stage: source (edge: a file). Thread: one caller.
// Bounded: 1 MiB of file, 20,000 users. The file is looked at again at most every `recheck`, and
// read again only when it changed.
#ifndef CULPRIT_AGENT_SOURCE_PASSWD_NAMES_H_
#define CULPRIT_AGENT_SOURCE_PASSWD_NAMES_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/ids.h"
#include "common/time.h"

namespace culprit {

// uid -> name; the first line of a uid wins, as in getpwuid(3). Lines that do not parse are passed
// over.
std::unordered_map<std::uint32_t, std::string> ParsePasswd(std::string_view text);

class PasswdNames {
 public:
  explicit PasswdNames(std::string path = "/etc/passwd",
                       std::chrono::seconds recheck = std::chrono::seconds(5));
  // Empty if unknown.
  std::string Name(Uid uid, BootTime now);

 private:
  void Refresh(BootTime now);

  std::string path_;
  std::chrono::seconds recheck_;
  bool read_ = false;
  BootTime checked_;
  std::uint64_t inode_ = 0, size_ = 0;
  std::int64_t mtime_ns_ = 0;
  std::unordered_map<std::uint32_t, std::string> names_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_PASSWD_NAMES_H_
