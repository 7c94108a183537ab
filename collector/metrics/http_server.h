// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server for what is read by machines beside the collector: GET and HEAD of a few
// paths, nothing is taken. No TLS and no login: who can reach the address can read it.
//
// Stage: metrics (edge: network, libevent). Thread: one of its own, which calls `ask`; Start() and
// the destructor from one thread. Hostile input: libevent's parser, headers of 8 KiB, no bodies,
// ten seconds for a client.
#ifndef CULPRIT_COLLECTOR_METRICS_HTTP_SERVER_H_
#define CULPRIT_COLLECTOR_METRICS_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

struct HttpAnswer {
  int status = 200;
  std::string content_type, body;
};

class HttpServer {
 public:
  // nullopt: no such path.
  using Ask = std::function<std::optional<HttpAnswer>(std::string_view path)>;

  // `listen`: "ADDRESS:PORT"; port 0 = any free one. Errors: kInvalidArgument (address),
  // kAlreadyExists (port in use), of sockets.
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& listen, Ask ask);
  // Ends within the time that an answer takes to be made.
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_METRICS_HTTP_SERVER_H_
