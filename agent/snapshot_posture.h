// SPDX-License-Identifier: Apache-2.0
// What a snapshot keeps of SSH: the report of `ssh-check`, what sshd decides for each user, and the
// keys that let him in, wherever they lie. Stage: wiring. Thread: a collector's.
#ifndef CULPRIT_AGENT_SNAPSHOT_POSTURE_H_
#define CULPRIT_AGENT_SNAPSHOT_POSTURE_H_

#include <string>

#include "agent/snapshot/evidence.h"

namespace culprit {

// Tables sshd and authorized_keys, and live/ssh-posture.json.
void CollectPosture(Evidence& evidence);
// Of the host, or of a disk that is mounted at `root`.
void CollectPostureOf(Evidence& evidence, const std::string& root);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_POSTURE_H_
