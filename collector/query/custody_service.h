// SPDX-License-Identifier: Apache-2.0
// The Custody gRPC service: an operator asks how far the evidence of a host has arrived. Stage:
// query (edge: gRPC). Thread: gRPC's.
#ifndef CULPRIT_COLLECTOR_QUERY_CUSTODY_SERVICE_H_
#define CULPRIT_COLLECTOR_QUERY_CUSTODY_SERVICE_H_

#include <memory>

#include "collector/query/engine.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

// `engine` outlives the service.
std::unique_ptr<grpc::Service> MakeCustodyService(const QueryEngine& engine);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_CUSTODY_SERVICE_H_
