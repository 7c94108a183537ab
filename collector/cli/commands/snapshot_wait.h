// SPDX-License-Identifier: Apache-2.0
// Waiting for a snapshot that was asked for, with what comes of it on a terminal. Stage: cli.
// Thread: the command's.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_SNAPSHOT_WAIT_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_SNAPSHOT_WAIT_H_

#include <chrono>
#include <optional>
#include <string>

#include "collector/cli/commands/session.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit::cli {

struct WaitOptions {
  std::optional<std::chrono::milliseconds> deadline;
  bool give_up_when_stuck = false;  // the collector can not store it: kResourceExhausted
};
// Until it is final, over breaks of the connection, too. Errors: kCancelled (interrupted),
// kDeadlineExceeded (it goes on at the collector), those of the collector.
Result<v1::Snapshot> AwaitSnapshot(Session& session, Client& client, const std::string& id,
                                   const WaitOptions& options);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_SNAPSHOT_WAIT_H_
