// SPDX-License-Identifier: Apache-2.0
// Policy: for whom and from where a configuration is asked, and what it then allows. Every user
// with a shell, from a public, a private and a loopback address and from each address that a Match
// block or AllowUsers names. Stage: posture, pure. Thread: values. Bounded: kMaxPolicyUsers users.
#ifndef CULPRIT_AGENT_POSTURE_POLICY_H_
#define CULPRIT_AGENT_POSTURE_POLICY_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/posture/posture.h"

namespace culprit {

constexpr std::size_t kMaxPolicyUsers = 500;

struct PolicyContext {
  Connection connection;
  const Account* account = nullptr;  // nullptr: what holds for a user whom no Match block names
  SourceClass source = SourceClass::kPublic;
  std::shared_ptr<const Settings> settings;
  bool admitted = true;
  std::string refused_by;
  std::string Label() const;  // "alice from public"
};

// The first context is that of no user in particular. `accounts` must outlive the contexts.
std::vector<PolicyContext> PolicyContexts(const SshdConfig& config, const Accounts& accounts);

PolicyEntry EntryOf(const PolicyContext& context);

// Criterion and argument of a Match line: ("User", "alice,bob").
std::vector<std::pair<std::string, std::string>> CriteriaOf(const MatchBlock& match);

// Whether the method alone lets somebody in: AuthenticationMethods may ask for more.
bool MethodSuffices(const Settings& settings, std::string_view method);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_POLICY_H_
