// SPDX-License-Identifier: Apache-2.0
// What every call of an operator does around its answer: who asks is checked first, and an error
// becomes a status. Stage: query (edge: gRPC). Thread: any.
#ifndef CULPRIT_COLLECTOR_QUERY_ANSWER_CALL_H_
#define CULPRIT_COLLECTOR_QUERY_ANSWER_CALL_H_

#include <grpcpp/grpcpp.h>

#include <utility>

#include "collector/pki/grpc_peer.h"

namespace culprit {

// `call` gives a Result<Response>; it is not made for who is no operator.
template <class Response, class Call>
grpc::Status AnswerCall(const grpc::ServerContext& context, Response* response, const Call& call) {
  if (auto peer = RequirePeer(context, PeerRole::kOperator); !peer) {
    return ToGrpcStatus(peer.error());
  }
  Result<Response> result = call();
  if (!result) return ToGrpcStatus(result.error());
  *response = std::move(*result);
  return grpc::Status::OK;
}

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_ANSWER_CALL_H_
