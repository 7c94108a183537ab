// SPDX-License-Identifier: Apache-2.0
// Patterns of sshd_config and authorized_keys: wildcards, lists with negation, addresses and CIDR.
// Stage: posture, pure. Thread: values. Total, and linear in pattern times text: hostile patterns
// cost no more than their length.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_PATTERNS_H_
#define CULPRIT_AGENT_POSTURE_SSHD_PATTERNS_H_

#include <string>
#include <string_view>
#include <vector>

namespace culprit {

// '*' and '?', case-sensitive.
bool MatchPattern(std::string_view text, std::string_view pattern);
// 1: a pattern of the list matches; -1: a negated one does; 0: none.
int MatchPatternList(std::string_view text, std::string_view list, bool lower_patterns = false);
int MatchHostName(std::string_view host, std::string_view list);
// As MatchPatternList for an address, with CIDR; -2: the list is bad. An empty `address` checks the
// list alone.
int MatchAddressList(const std::string& address, std::string_view list);
// from="…" of a key, and HOST of AllowUsers: 1, 0, or -1 for a bad list.
int MatchHostAndAddress(const std::string& host, const std::string& address, std::string_view list);
// USER or USER@HOST of AllowUsers and DenyUsers: 1, 0 or -1.
int MatchUserPattern(const std::string& user, const std::string& host, const std::string& address,
                     const std::string& pattern);
// Whether USER@HOST is well formed.
bool UserPatternIsValid(const std::string& pattern);
// A list of groups against those of a user.
bool MatchGroups(const std::vector<std::string>& groups, std::string_view list);
// Every element is negated, so nothing can ever match.
bool OnlyNegations(std::string_view list);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_PATTERNS_H_
