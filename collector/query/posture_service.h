// SPDX-License-Identifier: Apache-2.0
// The PostureQuery gRPC service: an operator asks how the SSH of hosts stands. Stage: query (edge:
// gRPC). Thread: gRPC's.
#ifndef CULPRIT_COLLECTOR_QUERY_POSTURE_SERVICE_H_
#define CULPRIT_COLLECTOR_QUERY_POSTURE_SERVICE_H_

#include <memory>

#include "collector/query/engine.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

// `engine` outlives the service.
std::unique_ptr<grpc::Service> MakePostureService(const QueryEngine& engine);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_POSTURE_SERVICE_H_
