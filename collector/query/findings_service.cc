// SPDX-License-Identifier: Apache-2.0
#include "collector/query/findings_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "collector/detect/bill.h"
#include "collector/pki/grpc_peer.h"
#include "culprit/v1/findings.grpc.pb.h"

namespace culprit {
namespace {

constexpr std::uint32_t kDefaultLimit = 100, kMaxLimit = 10'000;
constexpr std::size_t kMaxReason = 1000;
constexpr auto kPoll = std::chrono::milliseconds(500);

FindingQuery QueryOf(const v1::ListFindingsRequest& request) {
  FindingQuery query;
  query.host = request.host();
  query.rule = request.rule();
  query.id = request.id();
  query.min_severity = request.min_severity();
  for (const int state : request.states())
    query.states.push_back(static_cast<v1::FindingState>(state));
  query.since = WallTimeFromNs(std::max<std::int64_t>(0, request.since_ns()));
  query.limit = request.limit() == 0 ? kDefaultLimit : std::min(request.limit(), kMaxLimit);
  return query;
}

class FindingsService final : public v1::Findings::Service {
 public:
  FindingsService(FindingStore* findings, const PlaceSource* places)
      : findings_(*findings), places_(places) {}

  grpc::Status ListFindings(grpc::ServerContext* context, const v1::ListFindingsRequest* request,
                            v1::ListFindingsResponse* response) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer)
      return ToGrpcStatus(peer.error());
    auto found = findings_.List(QueryOf(*request));
    if (!found) return ToGrpcStatus(found.error());
    Annotate(&*found);
    for (v1::Finding& finding : *found) *response->add_findings() = std::move(finding);
    return grpc::Status::OK;
  }

  grpc::Status FollowFindings(grpc::ServerContext* context, const v1::ListFindingsRequest* request,
                              grpc::ServerWriter<v1::Finding>* writer) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer)
      return ToGrpcStatus(peer.error());
    FindingQuery query = QueryOf(*request);
    while (!context->IsCancelled()) {
      const std::uint64_t seen = findings_.WaitChange(0, std::chrono::milliseconds(0));
      if (seen > query.changed_after) {
        auto found = findings_.List(query);
        if (!found) return ToGrpcStatus(found.error());
        Annotate(&*found);
        std::reverse(found->begin(), found->end());  // oldest first, as they came
        for (const v1::Finding& finding : *found) {
          if (!writer->Write(finding)) return grpc::Status::OK;
        }
        query.changed_after = seen;
        query.limit = kMaxLimit;
      }
      findings_.WaitChange(query.changed_after, kPoll);
    }
    return grpc::Status::OK;
  }

  grpc::Status SetFindingState(grpc::ServerContext* context,
                               const v1::SetFindingStateRequest* request,
                               v1::Finding* response) override {
    auto peer = RequirePeer(*context, PeerRole::kOperator);
    if (!peer) return ToGrpcStatus(peer.error());
    if (request->state() < v1::FINDING_STATE_OPEN || !v1::FindingState_IsValid(request->state())) {
      return ToGrpcStatus(
          InvalidArgument("state: expected open, acknowledged, closed or false positive"));
    }
    auto finding = findings_.Decide(
        request->id(),
        {request->state(), request->reason().substr(0, kMaxReason), peer->name, ReadWallClock()});
    if (!finding) return ToGrpcStatus(finding.error());
    *response = std::move(*finding);
    return grpc::Status::OK;
  }

 private:
  // AWS's list and the prices change; a finding is told with the newest.
  void Annotate(std::vector<v1::Finding>* findings) const {
    if (places_ == nullptr) return;
    const auto tables = places_->Read();
    for (v1::Finding& finding : *findings) AnnotateFinding(*tables, &finding);
  }

  FindingStore& findings_;
  const PlaceSource* places_;
};

}  // namespace

void AnnotateFinding(const PlaceTables& tables, v1::Finding* finding) {
  for (v1::Target& target : *finding->mutable_targets()) {
    const auto address = IpAddress::Parse(target.address());
    if (!address) continue;
    const GeoPlace place = tables.geo.Find(*address);
    target.set_region(place.region);
    target.set_service(place.service);
  }
  PriceFinding(tables.prices.get(), finding);
}

std::unique_ptr<grpc::Service> MakeFindingsService(FindingStore* findings,
                                                   const PlaceSource* places) {
  return std::make_unique<FindingsService>(findings, places);
}

}  // namespace culprit
