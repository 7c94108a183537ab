// SPDX-License-Identifier: Apache-2.0
// The Alerts gRPC service: how the targets of alerts are doing, and a test of them.
// Stage: query (edge: gRPC). Thread: gRPC's.
#ifndef CULPRIT_COLLECTOR_QUERY_ALERTS_SERVICE_H_
#define CULPRIT_COLLECTOR_QUERY_ALERTS_SERVICE_H_

#include <memory>

#include "collector/alert/alerter.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace culprit {

// `alerter` outlives the service.
std::unique_ptr<grpc::Service> MakeAlertsService(Alerter* alerter);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_ALERTS_SERVICE_H_
