// SPDX-License-Identifier: Apache-2.0
#include "collector/query/service.h"

#include <grpcpp/grpcpp.h>

#include "collector/pki/grpc_peer.h"
#include "collector/query/answer_call.h"
#include "culprit/v1/query.grpc.pb.h"

namespace culprit {
namespace {

Cancelled CancelledOf(grpc::ServerContext* context) {
  return [context] { return context->IsCancelled(); };
}

class QueryService final : public v1::Query::Service {
 public:
  QueryService(const QueryEngine& engine, PacketFetcher* packets)
      : engine_(engine), packets_(packets) {}

  grpc::Status ListHosts(grpc::ServerContext* context, const v1::ListHostsRequest* request,
                         v1::ListHostsResponse* response) override {
    return AnswerCall(*context, response, [&] { return engine_.ListHosts(*request); });
  }
  grpc::Status ListFlows(grpc::ServerContext* context, const v1::ListFlowsRequest* request,
                         v1::ListFlowsResponse* response) override {
    return AnswerCall(*context, response,
                      [&] { return engine_.ListFlows(*request, CancelledOf(context)); });
  }
  grpc::Status FollowFlows(grpc::ServerContext* context, const v1::ListFlowsRequest* request,
                           grpc::ServerWriter<v1::FlowRow>* writer) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer) {
      return ToGrpcStatus(peer.error());
    }
    const Status done = engine_.FollowFlows(
        *request, CancelledOf(context), [&](const v1::FlowRow& row) { return writer->Write(row); });
    return done ? grpc::Status::OK : ToGrpcStatus(done.error());
  }
  grpc::Status GetProcess(grpc::ServerContext* context, const v1::GetProcessRequest* request,
                          v1::GetProcessResponse* response) override {
    return AnswerCall(*context, response,
                      [&] { return engine_.GetProcess(*request, CancelledOf(context)); });
  }
  grpc::Status ListDns(grpc::ServerContext* context, const v1::ListDnsRequest* request,
                       v1::ListDnsResponse* response) override {
    return AnswerCall(*context, response, [&] { return engine_.ListDns(*request); });
  }
  grpc::Status Top(grpc::ServerContext* context, const v1::TopRequest* request,
                   v1::TopResponse* response) override {
    return AnswerCall(*context, response,
                      [&] { return engine_.Top(*request, CancelledOf(context)); });
  }
  grpc::Status FetchPackets(grpc::ServerContext* context, const v1::FetchPacketsRequest* request,
                            grpc::ServerWriter<v1::FetchPacketsResponse>* writer) override {
    auto peer = RequirePeer(*context, PeerRole::kOperator);
    if (!peer) return ToGrpcStatus(peer.error());
    const Status done = packets_->Fetch(
        *request, peer->name, CancelledOf(context),
        [&](const v1::FetchPacketsResponse& response) { return writer->Write(response); });
    return done ? grpc::Status::OK : ToGrpcStatus(done.error());
  }
  grpc::Status GetStatus(grpc::ServerContext* context, const v1::GetStatusRequest*,
                         v1::GetStatusResponse* response) override {
    return AnswerCall(*context, response, [&] { return engine_.GetStatus(); });
  }
  grpc::Status Where(grpc::ServerContext* context, const v1::WhereRequest* request,
                     v1::WhereResponse* response) override {
    return AnswerCall(*context, response, [&] { return engine_.Where(*request); });
  }

 private:
  const QueryEngine& engine_;
  PacketFetcher* packets_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeQueryService(const QueryEngine& engine, PacketFetcher* packets) {
  return std::make_unique<QueryService>(engine, packets);
}

}  // namespace culprit
