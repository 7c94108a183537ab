// SPDX-License-Identifier: Apache-2.0
#include "collector/query/posture_service.h"

#include <grpcpp/grpcpp.h>

#include "collector/pki/grpc_peer.h"
#include "culprit/v1/query_posture.grpc.pb.h"

namespace culprit {
namespace {

class PostureService final : public v1::PostureQuery::Service {
 public:
  explicit PostureService(const QueryEngine& engine) : engine_(engine) {}

  grpc::Status GetPosture(grpc::ServerContext* context, const v1::GetPostureRequest* request,
                          v1::GetPostureResponse* response) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer)
      return ToGrpcStatus(peer.error());
    return Answer(engine_.GetPosture(*request), response);
  }
  grpc::Status ListKeys(grpc::ServerContext* context, const v1::ListKeysRequest* request,
                        v1::ListKeysResponse* response) override {
    if (auto peer = RequirePeer(*context, PeerRole::kOperator); !peer)
      return ToGrpcStatus(peer.error());
    return Answer(engine_.ListKeys(*request), response);
  }

 private:
  template <class Response>
  static grpc::Status Answer(Result<Response> result, Response* response) {
    if (!result) return ToGrpcStatus(result.error());
    *response = std::move(*result);
    return grpc::Status::OK;
  }

  const QueryEngine& engine_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePostureService(const QueryEngine& engine) {
  return std::make_unique<PostureService>(engine);
}

}  // namespace culprit
