// SPDX-License-Identifier: Apache-2.0
#include "collector/query/custody_service.h"

#include <grpcpp/grpcpp.h>

#include "collector/query/answer_call.h"
#include "culprit/v1/report.grpc.pb.h"

namespace culprit {
namespace {

class CustodyService final : public v1::Custody::Service {
 public:
  explicit CustodyService(const QueryEngine& engine) : engine_(engine) {}

  grpc::Status GetEvidenceHead(grpc::ServerContext* context,
                               const v1::GetEvidenceHeadRequest* request,
                               v1::EvidenceHead* response) override {
    return AnswerCall(*context, response, [&] { return engine_.GetEvidenceHead(*request); });
  }

 private:
  const QueryEngine& engine_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCustodyService(const QueryEngine& engine) {
  return std::make_unique<CustodyService>(engine);
}

}  // namespace culprit
