// SPDX-License-Identifier: Apache-2.0
// The Findings gRPC service: an operator reads findings, follows them and decides about them.
// Stage: query (edge: gRPC). Thread: gRPC's.
#ifndef CULPRIT_COLLECTOR_QUERY_FINDINGS_SERVICE_H_
#define CULPRIT_COLLECTOR_QUERY_FINDINGS_SERVICE_H_

#include <memory>

#include "collector/detect/finding_store.h"
#include "collector/query/ports.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

// Region and service of each target, as the tables have them now.
void AnnotateFinding(const PlaceTables& tables, v1::Finding* finding);

// Both outlive the service; without `places` no target has a region.
std::unique_ptr<grpc::Service> MakeFindingsService(FindingStore* findings,
                                                   const PlaceSource* places);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_FINDINGS_SERVICE_H_
