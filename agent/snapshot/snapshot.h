// SPDX-License-Identifier: Apache-2.0
// TakeSnapshot: the volatile evidence of this host in order of volatility, into one signed bundle.
// Nothing of the host is executed, changed or followed; DESIGN.md "Bundle" says what is in it.
//
// Stage: snapshot (edge). Thread: the caller's waits; collectors run on threads of their own.
// Failure: of the sink only; whatever cannot be had is in the bundle's errors.
#ifndef CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_H_
#define CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_H_

#include <functional>
#include <string>
#include <vector>

#include "agent/snapshot/evidence.h"
#include "common/bundle_writer.h"
#include "common/ssh_signature.h"

namespace culprit {

struct SnapshotOptions {
  BundleHead head;  // what the caller knows; time, boot id and limits are filled in
  SnapshotLimits limits;
  unsigned last_tier = kTiers - 1;
  std::string root = "/";  // elsewhere: a mounted disk, whose files alone are collected
  std::string state_dir;   // the agent's own; empty: none
  // What was seen before the snapshot began; called as the first collector.
  std::function<void(Evidence&)> watched;
  // Answers what the running agent says of itself, as JSON; an error says why there is none.
  std::function<Result<std::string>()> agent_status;
  // What the cloud says of the instance; called as a collector of tier 0. May be empty.
  std::function<void(Evidence&)> cloud;
  // More that belongs to a tier; called as a collector.
  std::function<void(Evidence&)> posture;
  std::function<void(unsigned tier, const std::string& step)> progress;  // may be empty
};

struct SnapshotSummary {
  std::uint64_t members = 0, bytes = 0, skipped = 0;
};

Result<SnapshotSummary> TakeSnapshot(const SnapshotOptions& options, Ed25519Key key, ByteSink sink);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_H_
