// SPDX-License-Identifier: Apache-2.0
// What must not leave the host even as evidence: private keys, password hashes, secret keys of a
// cloud. Stage: snapshot, pure. Thread: values. Total on any bytes.
#ifndef CULPRIT_AGENT_SNAPSHOT_REDACT_H_
#define CULPRIT_AGENT_SNAPSHOT_REDACT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culprit {

// PEM or OpenSSH form, also behind something else.
bool HoldsPrivateKey(std::string_view bytes);

struct Redacted {
  std::string text;
  std::size_t places = 0;
};
// Values of secret keys (AWS_SECRET_ACCESS_KEY = …, passwords in URLs, bearer tokens) become
// "[redacted]"; ids of keys stay: who investigates needs them.
Redacted RedactSecrets(std::string_view text);
// passwd-like: the hash of the second field becomes its method; locked and empty ones stay.
Redacted RedactShadow(std::string_view text);

// Names of all variables; values of those that say how a process came to be (SSH_CONNECTION,
// LD_PRELOAD, …), "" for others.
std::vector<std::pair<std::string, std::string>> EnvironmentNames(std::string_view environ_text);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_REDACT_H_
