// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 exchange with a literal address: what IMDSv2 needs and no more (no names, no TLS, no
// redirects). Stage: imds (edge: a socket). Thread: any. Bounded: 64 KiB of answer, `timeout` for
// the whole exchange.
#ifndef CULPRIT_AGENT_IMDS_HTTP_GET_H_
#define CULPRIT_AGENT_IMDS_HTTP_GET_H_

#include <chrono>
#include <string>
#include <string_view>

#include "common/net_address.h"
#include "common/result.h"

namespace culprit {

struct HttpRequest {
  std::string method, target;
  std::string headers;  // each line ends with \r\n
};

// "http://ADDRESS[:PORT]" with an IP address; port 80 if none.
Result<Endpoint> ParseHttpEndpoint(std::string_view endpoint);
// The body of a 200. Total on any bytes. Errors: another status (kNotFound, kUnauthenticated, else
// kUnavailable), not HTTP, too long, shorter than announced.
Result<std::string> ParseHttpResponse(std::string_view response);
Result<std::string> HttpExchange(const std::string& endpoint, const HttpRequest& request,
                                 std::chrono::milliseconds timeout);

}  // namespace culprit

#endif  // CULPRIT_AGENT_IMDS_HTTP_GET_H_
