// SPDX-License-Identifier: Apache-2.0
// The bytes of a bundle, from a file or from the collector. Stage: cli (edge). Thread: one caller.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_BUNDLE_SOURCE_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_BUNDLE_SOURCE_H_

#include <string>

#include "collector/cli/commands/session.h"
#include "common/bundle_reader.h"

namespace culprit::cli {

// A file that there is, else the id of a snapshot, or its first digits. The session outlives it; of
// those from a collector one is open at a time. Errors: kNotFound (neither); where `exit_code` is
// not kExitOk afterwards, the session has said already why there is no connection.
Result<ByteSource> OpenBundle(Session& session, const std::string& file_or_id, int* exit_code);

// Whether it can be an id, or the beginning of one.
bool IsSnapshotId(const std::string& text);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_BUNDLE_SOURCE_H_
