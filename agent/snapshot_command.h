// SPDX-License-Identifier: Apache-2.0
// `culprit-agent snapshot` and `culprit-agent verify-snapshot`: the command lines around
// agent/snapshot and common/bundle_verify. Stage: wiring (edge: files, terminal). Thread: the
// caller's.
#ifndef CULPRIT_AGENT_SNAPSHOT_COMMAND_H_
#define CULPRIT_AGENT_SNAPSHOT_COMMAND_H_

#include <string>
#include <vector>

#include "agent/config.h"
#include "common/result.h"

namespace culprit {

struct SnapshotCommand {
  AgentConfig config;
  std::string version;
  std::string out;  // a file, a directory, "-" for standard output; empty: state_dir/snapshots
  std::string case_id, operator_name;
  unsigned last_tier = 2;
  bool json = false;
};

// Prints where the bundle is and the key's fingerprint. Errors: cannot be written; what could not
// be collected is no error.
Status RunSnapshot(const SnapshotCommand& command);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_COMMAND_H_
