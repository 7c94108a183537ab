// SPDX-License-Identifier: Apache-2.0
// Which files sshd reads keys from for a user, and whether it would take them: tokens, the user's
// own right to read, StrictModes. Stage: posture, pure behind FileTree. Thread: one caller.
#ifndef CULPRIT_AGENT_POSTURE_KEY_PATHS_H_
#define CULPRIT_AGENT_POSTURE_KEY_PATHS_H_

#include <optional>
#include <string>
#include <string_view>

#include "agent/posture/accounts.h"
#include "agent/posture/file_tree.h"

namespace culprit {

// The path with %h, %u, %U and %% put in, below the home directory if it is relative. nullopt: sshd
// would end the connection (an unknown token).
std::optional<std::string> ExpandKeyPath(std::string_view pattern, const Account& account);

class KeyPathRules {
 public:
  // `debian`: its sshd lets a group write whose only member is the user.
  KeyPathRules(FileTree* tree, const Accounts* accounts, bool debian)
      : tree_(tree), accounts_(accounts), debian_(debian) {}

  // Why StrictModes passes the file over; "": it does not.
  std::string UnsafeBecause(const std::string& path, const Account& account) const;
  // Whether sshd can open it, which it does as the user.
  bool UserCanRead(const std::string& path, const Account& account) const;

 private:
  bool Secure(const FileInfo& info, std::uint32_t uid) const;
  bool OnlyOwnersGroup(const FileInfo& info, std::uint32_t uid) const;
  bool Allowed(const FileInfo& info, const Account& account, std::uint32_t bit) const;

  FileTree* tree_;
  const Accounts* accounts_;
  bool debian_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_KEY_PATHS_H_
