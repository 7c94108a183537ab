// SPDX-License-Identifier: Apache-2.0
// The Query gRPC service: checks that the caller holds an operator's certificate, then hands over
// to the engine. Stage: query (edge: gRPC). Thread: gRPC's. The service is built apart from its
// interface, so that users of this header do not compile gRPC.
#ifndef CULPRIT_COLLECTOR_QUERY_SERVICE_H_
#define CULPRIT_COLLECTOR_QUERY_SERVICE_H_

#include <memory>

#include "collector/query/engine.h"
#include "collector/query/packet_fetch.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

// Both outlive the service. Register the result with grpc::ServerBuilder::RegisterService().
std::unique_ptr<grpc::Service> MakeQueryService(const QueryEngine& engine, PacketFetcher* packets);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_SERVICE_H_
