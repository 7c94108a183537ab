// SPDX-License-Identifier: Apache-2.0
// Lines of authorized_keys as sshd 9.2 takes them: options, key, comment, and why a line is none.
// tests/e2e/85_authorized_keys.py holds it against logins. Stage: posture, pure. Thread: values.
// Total: any bytes; a line is as long as its file.
#ifndef CULPRIT_AGENT_POSTURE_AUTHORIZED_KEYS_H_
#define CULPRIT_AGENT_POSTURE_AUTHORIZED_KEYS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/posture/ssh_key.h"

namespace culprit {

struct KeyOptions {
  std::string text;  // as written; "" without
  bool restricted = false, cert_authority = false;
  std::optional<std::string> command, from, principals;
  std::optional<std::int64_t> expires_s;  // since 1970; a time without zone is taken as UTC
  std::vector<std::string> environment;   // "NAME=value"
};

// Up to the first blank outside of quotes. Errors: what sshd would refuse.
Result<KeyOptions> ParseKeyOptions(std::string_view text);

struct KeyLine {
  std::uint32_t line = 0;
  std::optional<SshPublicKey> key;  // also of a line that is refused, where one can be made out
  KeyOptions options;
  std::string comment;
  std::string refused;  // why sshd passes the line over; "": it does not, by itself
};

// Every line that is neither empty nor a comment.
std::vector<KeyLine> ParseAuthorizedKeys(std::string_view text, std::size_t limit);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_AUTHORIZED_KEYS_H_
