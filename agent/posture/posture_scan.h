// SPDX-License-Identifier: Apache-2.0
// One look at the SSH of a host: accounts, unit, running daemon, configuration, policy, findings.
//
//   FileTree, HostView --ScanPosture--> PostureReport
//
// Stage: posture, pure behind its ports. Thread: one caller, some milliseconds. Failure: what
// cannot be read is a finding; an error only if there is nothing to judge.
#ifndef CULPRIT_AGENT_POSTURE_POSTURE_SCAN_H_
#define CULPRIT_AGENT_POSTURE_POSTURE_SCAN_H_

#include <string>

#include "agent/posture/host_view.h"
#include "agent/posture/posture.h"

namespace culprit {

struct PostureScanOptions {
  std::string config;  // instead of what the running daemon, its unit or sshd's default say
  std::string user;    // policy and findings for this user alone
};

// `host` nullptr: the tree is an image that does not run. Errors: kNotFound without a configuration
// or without that user.
Result<PostureReport> ScanPosture(FileTree& tree, HostView* host,
                                  const PostureScanOptions& options);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_POSTURE_SCAN_H_
