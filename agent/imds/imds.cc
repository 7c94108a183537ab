// SPDX-License-Identifier: Apache-2.0
#include "agent/imds/imds.h"

#include <algorithm>

#include "agent/imds/http_get.h"

namespace culprit {

Result<ImdsSession> ImdsSession::Open(const std::string& endpoint,
                                      std::chrono::milliseconds timeout,
                                      std::chrono::seconds good_for) {
  HttpRequest request;
  request.method = "PUT";
  request.target = "/latest/api/token";
  request.headers =
      "X-aws-ec2-metadata-token-ttl-seconds: " + std::to_string(good_for.count()) + "\r\n";
  auto token = HttpExchange(endpoint, request, timeout);
  if (!token) return std::move(token).error().Context("ask IMDSv2 for a token");
  const bool plain =
      !token->empty() && token->size() <= 1024 &&
      std::all_of(token->begin(), token->end(), [](char c) { return c > ' ' && c < 127; });
  if (!plain) return DataLoss("ask IMDSv2 for a token: not a token");
  return ImdsSession(endpoint, timeout, *token);
}

Result<std::string> ImdsSession::Get(const std::string& target, const std::string& what) const {
  HttpRequest request;
  request.method = "GET";
  request.target = target;
  request.headers = "X-aws-ec2-metadata-token: " + token_ + "\r\n";
  auto answer = HttpExchange(endpoint_, request, timeout_);
  if (!answer) return std::move(answer).error().Context("ask IMDSv2 for " + what);
  return answer;
}

}  // namespace culprit
