// SPDX-License-Identifier: Apache-2.0
// What the EC2 metadata service says of this instance when a snapshot is taken: live/cloud.json.
// Stage: wiring (edge: HTTP). Thread: a collector's. Failure: an entry in the bundle's errors.
#ifndef CULPRIT_AGENT_SNAPSHOT_CLOUD_H_
#define CULPRIT_AGENT_SNAPSHOT_CLOUD_H_

#include <functional>
#include <string>

#include "agent/snapshot/evidence.h"

namespace culprit {

// Identity with its signature, image, Auto Scaling group and state, name of the instance role; no
// credentials and no user data are asked for.
void CollectCloud(Evidence& evidence, const std::string& endpoint);
// The collector of a snapshot of this instance; empty where the metadata service did not say who it
// is, so that nothing is asked where there is none.
std::function<void(Evidence&)> CloudCollector(const std::string& instance_id,
                                              const std::string& endpoint);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_CLOUD_H_
