// SPDX-License-Identifier: Apache-2.0
// What was done with a key: the part of `culprit keys --fingerprint` that logins answer. Stage:
// cli. Thread: the command's.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_KEY_USE_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_KEY_USE_H_

#include <string>

#include "collector/cli/commands/session.h"

namespace culprit::cli {

struct KeyUse {
  std::string fingerprint;  // "SHA256:…"
  std::string host;         // empty: any
  v1::TimeRange time;
  std::uint32_t limit = 50;  // sessions, the newest
};

// Prints the sessions that began with the key, what ran in them and where their bytes went; as JSON
// a document for each session, as `culprit session` has it. The exit code; kExitNoMatch where
// nobody came in with it.
int ShowKeyUse(Session& session, Client& client, const KeyUse& use);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_KEY_USE_H_
