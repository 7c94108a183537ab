// SPDX-License-Identifier: Apache-2.0
// One look at the SSH of a host: accounts, unit, running daemon, configuration, policy, findings.
//
//   FileTree, HostView --ScanPosture--> PostureReport
//
// Stage: posture, pure behind its ports. Thread: one caller, some milliseconds. Failure: what
// cannot be read is a finding; an error only if there is nothing to judge.
#ifndef CULPRIT_AGENT_POSTURE_POSTURE_SCAN_H_
#define CULPRIT_AGENT_POSTURE_POSTURE_SCAN_H_

#include <optional>
#include <string>

#include "agent/posture/host_view.h"
#include "agent/posture/key_records.h"
#include "agent/posture/posture.h"

namespace culprit {

struct PostureScanOptions {
  std::string config;  // instead of what the running daemon, its unit or sshd's default say
  std::string user;    // policy, keys and findings for this user alone
  KnownBadKeys known_bad;
  std::optional<KeyBaseline> baseline;
  std::int64_t now_s = 0;  // since 1970; 0: whether keys have expired is not judged
};

// `host` nullptr: the tree is an image that does not run. Errors: kNotFound without a configuration
// or without that user.
Result<PostureReport> ScanPosture(FileTree& tree, HostView* host,
                                  const PostureScanOptions& options);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_POSTURE_SCAN_H_
