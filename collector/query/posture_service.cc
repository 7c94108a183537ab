// SPDX-License-Identifier: Apache-2.0
#include "collector/query/posture_service.h"

#include <grpcpp/grpcpp.h>

#include "collector/query/answer_call.h"
#include "culprit/v1/query_posture.grpc.pb.h"

namespace culprit {
namespace {

class PostureService final : public v1::PostureQuery::Service {
 public:
  explicit PostureService(const QueryEngine& engine) : engine_(engine) {}

  grpc::Status GetPosture(grpc::ServerContext* context, const v1::GetPostureRequest* request,
                          v1::GetPostureResponse* response) override {
    return AnswerCall(*context, response, [&] { return engine_.GetPosture(*request); });
  }
  grpc::Status ListKeys(grpc::ServerContext* context, const v1::ListKeysRequest* request,
                        v1::ListKeysResponse* response) override {
    return AnswerCall(*context, response, [&] { return engine_.ListKeys(*request); });
  }

 private:
  const QueryEngine& engine_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePostureService(const QueryEngine& engine) {
  return std::make_unique<PostureService>(engine);
}

}  // namespace culprit
