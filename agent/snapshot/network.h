// SPDX-License-Identifier: Apache-2.0
// Sockets with their owners, interfaces, addresses, routes, rules and neighbours of every network
// namespace. Stage: snapshot (edge: netlink). Thread: a collector's own, which it moves from
// namespace to namespace.
#ifndef CULPRIT_AGENT_SNAPSHOT_NETWORK_H_
#define CULPRIT_AGENT_SNAPSHOT_NETWORK_H_

#include "agent/snapshot/evidence.h"
#include "agent/snapshot/processes.h"

namespace culprit {

// Tables sockets and network; texts of /proc/net that have no netlink (firewall tables, connection
// tracking).
void CollectNetwork(Evidence& evidence, const SnapshotProcfs& procfs, const FoundProcesses& facts);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_NETWORK_H_
