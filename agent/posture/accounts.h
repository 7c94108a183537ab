// SPDX-License-Identifier: Apache-2.0
// Accounts: local users and groups from the files themselves, never through NSS (it would load
// modules into a privileged process, and may ask the network). Stage: posture, pure. Thread:
// values. Bounded: 20,000 lines of each file; lines that do not parse are passed over.
#ifndef CULPRIT_AGENT_POSTURE_ACCOUNTS_H_
#define CULPRIT_AGENT_POSTURE_ACCOUNTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

enum class PasswordState : std::uint8_t {
  kUnknown,  // shadow cannot be read
  kUsable,   // a hash is there
  kEmpty,    // anybody may be this user
  kLocked,   // '!' or '*', or no line
};

struct Account {
  std::string name, home, shell;
  std::uint32_t uid = 0, gid = 0;
  PasswordState password = PasswordState::kUnknown;
  // A shell that gives a session (not nologin, not false).
  bool LoginShell() const;
};

struct Group {
  std::string name;
  std::uint32_t gid = 0;
  std::vector<std::string> members;
};

class Accounts {
 public:
  Accounts() = default;
  // `shadow` nullptr: it cannot be read.
  Accounts(std::string_view passwd, std::string_view group, const std::string* shadow);

  const std::vector<Account>& all() const { return accounts_; }
  const Account* Find(std::string_view name) const;
  const Account* FindUid(std::uint32_t uid) const;
  bool HasGroup(std::string_view name) const;
  const std::vector<Group>& groups() const { return groups_; }
  // Primary group and every group that names the user.
  std::vector<std::string> GroupsOf(const Account& account) const;

 private:
  void ReadShadow(std::string_view text);

  std::vector<Account> accounts_;
  std::vector<Group> groups_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_ACCOUNTS_H_
