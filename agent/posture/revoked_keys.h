// SPDX-License-Identifier: Apache-2.0
// RevokedKeys: a list of keys, or a KRL as ssh-keygen -k writes it, as far as plain keys go
// (certificates by serial number are not looked at). Stage: posture, pure. Thread: values. Total.
#ifndef CULPRIT_AGENT_POSTURE_REVOKED_KEYS_H_
#define CULPRIT_AGENT_POSTURE_REVOKED_KEYS_H_

#include <set>
#include <string>
#include <string_view>

#include "agent/posture/ssh_key.h"
#include "common/result.h"

namespace culprit {

class RevokedKeys {
 public:
  // Errors: a KRL that does not parse, with which sshd refuses every key.
  static Result<RevokedKeys> Parse(std::string_view bytes);
  bool Holds(const SshPublicKey& key) const;

 private:
  Status ReadKrl(std::string_view bytes);

  std::set<std::string, std::less<>> blobs_, sha256_, sha1_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_REVOKED_KEYS_H_
