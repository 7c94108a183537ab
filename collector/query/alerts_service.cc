// SPDX-License-Identifier: Apache-2.0
#include "collector/query/alerts_service.h"

#include <grpcpp/grpcpp.h>

#include "collector/pki/grpc_peer.h"
#include "culprit/v1/alerts.grpc.pb.h"

namespace culprit {
namespace {

class AlertsService final : public v1::Alerts::Service {
 public:
  explicit AlertsService(Alerter* alerter) : alerter_(*alerter) {}

  grpc::Status ListAlertTargets(grpc::ServerContext* context, const v1::ListAlertTargetsRequest*,
                                v1::ListAlertTargetsResponse* response) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer)
      return ToGrpcStatus(peer.error());
    *response = alerter_.Targets();
    return grpc::Status::OK;
  }

  grpc::Status TestAlerts(grpc::ServerContext* context, const v1::TestAlertsRequest* request,
                          v1::TestAlertsResponse* response) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer)
      return ToGrpcStatus(peer.error());
    auto tested = alerter_.Test(*request, [context] { return context->IsCancelled(); });
    if (!tested) return ToGrpcStatus(tested.error());
    *response = std::move(*tested);
    return grpc::Status::OK;
  }

 private:
  Alerter& alerter_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAlertsService(Alerter* alerter) {
  return std::make_unique<AlertsService>(alerter);
}

}  // namespace culprit
