// SPDX-License-Identifier: Apache-2.0
#include "collector/query/login_service.h"

#include <grpcpp/grpcpp.h>

#include "collector/query/answer_call.h"
#include "culprit/v1/query_login.grpc.pb.h"

namespace culprit {
namespace {

class LoginService final : public v1::LoginQuery::Service {
 public:
  explicit LoginService(const QueryEngine& engine) : engine_(engine) {}

  grpc::Status ListLogins(grpc::ServerContext* context, const v1::ListLoginsRequest* request,
                          v1::ListLoginsResponse* response) override {
    return AnswerCall(*context, response, [&] { return engine_.ListLogins(*request); });
  }
  grpc::Status GetSession(grpc::ServerContext* context, const v1::GetSessionRequest* request,
                          v1::GetSessionResponse* response) override {
    return AnswerCall(*context, response, [&] {
      return engine_.GetSession(*request, [context] { return context->IsCancelled(); });
    });
  }

 private:
  const QueryEngine& engine_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLoginService(const QueryEngine& engine) {
  return std::make_unique<LoginService>(engine);
}

}  // namespace culprit
