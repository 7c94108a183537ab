// SPDX-License-Identifier: Apache-2.0
// Keys of a host: who may log in with which, by which line of which file, and private keys that lie
// about unencrypted. Stage: posture, pure. Thread: values. Never holds private key material.
#ifndef CULPRIT_AGENT_POSTURE_KEY_RECORDS_H_
#define CULPRIT_AGENT_POSTURE_KEY_RECORDS_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/posture/posture.h"
#include "common/result.h"

namespace culprit {

// "SHA256:…" of each key that is known to be bad, and why.
class KnownBadKeys {
 public:
  KnownBadKeys();  // the few that campaigns and vendors are known by
  // Lines "SHA256:… WHY"; '#' begins a comment. Errors: a line that is neither, by its number.
  Status Add(std::string_view list);
  // nullptr: not known.
  const std::string* Find(const std::string& fingerprint) const;

 private:
  std::unordered_map<std::string, std::string> reasons_;
};

// Lines "USER SHA256:…" of the keys that were there before.
class KeyBaseline {
 public:
  static Result<KeyBaseline> Parse(std::string_view text);
  static std::string Format(const std::vector<KeyRecord>& keys);
  bool Holds(const KeyRecord& key) const;

 private:
  std::unordered_set<std::string> lines_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_KEY_RECORDS_H_
