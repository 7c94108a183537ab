// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/accounts.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "agent/posture/sshd_lexer.h"
#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxLines = 20'000;
constexpr std::size_t kMaxName = 256;

// Fields of each line that has at least `fields` of them.
template <class Take>
void EachLine(std::string_view text, std::size_t fields, const Take& take) {
  for (std::size_t lines = 0; !text.empty() && lines < kMaxLines; ++lines) {
    const auto parts = SplitBy(NextLine(&text), ':');
    if (parts.size() >= fields && !parts[0].empty() && parts[0].size() <= kMaxName) take(parts);
  }
}

}  // namespace

bool Account::LoginShell() const {
  const std::string base = shell.substr(shell.rfind('/') + 1);
  return base != "nologin" && base != "false" && base != "sync" && base != "halt" &&
         base != "shutdown";
}

Accounts::Accounts(std::string_view passwd, std::string_view group, const std::string* shadow) {
  EachLine(passwd, 7, [&](const std::vector<std::string>& f) {
    const auto uid = AsNumber<std::uint32_t>(f[2]), gid = AsNumber<std::uint32_t>(f[3]);
    if (!uid || !gid) return;
    Account account{f[0], f[5], f[6], *uid, *gid, PasswordState::kUnknown};
    if (f[1].empty()) account.password = PasswordState::kEmpty;
    accounts_.push_back(std::move(account));
  });
  EachLine(group, 4, [&](const std::vector<std::string>& f) {
    const auto gid = AsNumber<std::uint32_t>(f[2]);
    if (gid) groups_.push_back({f[0], *gid, SplitBy(f[3], ',')});
  });
  if (shadow != nullptr) ReadShadow(*shadow);
}

void Accounts::ReadShadow(std::string_view text) {
  std::unordered_map<std::string, PasswordState> states;
  EachLine(text, 2, [&](const std::vector<std::string>& f) {
    const bool locked = !f[1].empty() && (f[1][0] == '!' || f[1][0] == '*');
    states.emplace(f[0], f[1].empty()                ? PasswordState::kEmpty
                         : locked || f[1].size() < 3 ? PasswordState::kLocked
                                                     : PasswordState::kUsable);
  });
  for (Account& account : accounts_) {
    if (account.password == PasswordState::kEmpty) continue;
    const auto it = states.find(account.name);
    account.password = it == states.end() ? PasswordState::kLocked : it->second;
  }
}

const Account* Accounts::Find(std::string_view name) const {
  const auto it = std::find_if(accounts_.begin(), accounts_.end(),
                               [&](const Account& account) { return account.name == name; });
  return it == accounts_.end() ? nullptr : &*it;
}

const Account* Accounts::FindUid(std::uint32_t uid) const {
  const auto it = std::find_if(accounts_.begin(), accounts_.end(),
                               [&](const Account& account) { return account.uid == uid; });
  return it == accounts_.end() ? nullptr : &*it;
}

bool Accounts::HasGroup(std::string_view name) const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [&](const Group& group) { return group.name == name; });
}

std::vector<std::string> Accounts::GroupsOf(const Account& account) const {
  std::vector<std::string> names;
  for (const Group& group : groups_) {
    const auto& members = group.members;
    if (group.gid == account.gid ||
        std::find(members.begin(), members.end(), account.name) != members.end())
      names.push_back(group.name);
  }
  return names;
}

}  // namespace culprit
