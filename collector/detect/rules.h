// SPDX-License-Identifier: Apache-2.0
// The catalogue of rules: what each means, what it judges by, when it is wrong.
// Stage: detect. Pure. Thread: any (constant).
#ifndef CULPRIT_COLLECTOR_DETECT_RULES_H_
#define CULPRIT_COLLECTOR_DETECT_RULES_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace culprit {

struct Rule {
  const char* name = "";
  std::uint32_t version = 1;  // moves with the meaning, not with thresholds
  const char* title = "";
  std::array<const char*, 3> attack_ids{};  // MITRE ATT&CK; the rest is null
  const char* what = "";
  const char* wrong = "";  // known false positives
  const char* sources = "";
};

std::span<const Rule> AllRules();
// The rule of that name; an empty one where there is none.
const Rule& RuleOf(std::string_view name);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_RULES_H_
