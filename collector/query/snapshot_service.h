// SPDX-License-Identifier: Apache-2.0
// The Snapshots gRPC service: an operator takes snapshots, follows, reads and removes them.
// Stage: query (edge: gRPC). Thread: gRPC's.
#ifndef CULPRIT_COLLECTOR_QUERY_SNAPSHOT_SERVICE_H_
#define CULPRIT_COLLECTOR_QUERY_SNAPSHOT_SERVICE_H_

#include <memory>

#include "collector/snapshot/snapshots.h"
#include "collector/store/evidence_store.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

// Both outlive the service.
std::unique_ptr<grpc::Service> MakeSnapshotService(const EvidenceStore& store,
                                                   Snapshots& snapshots);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_SNAPSHOT_SERVICE_H_
