// SPDX-License-Identifier: Apache-2.0
#include "collector/metrics/http_server.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "common/net_address.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr int kPatienceSeconds = 10;
constexpr ev_ssize_t kMaxHeaderBytes = 8 << 10;

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
using Base = std::unique_ptr<event_base, Freer<event_base_free>>;
using Http = std::unique_ptr<evhttp, Freer<evhttp_free>>;
using OneEvent = std::unique_ptr<event, Freer<event_free>>;
using Buffer = std::unique_ptr<evbuffer, Freer<evbuffer_free>>;

class EventHttpServer final : public HttpServer {
 public:
  explicit EventHttpServer(Ask ask) : ask_(std::move(ask)) {}
  ~EventHttpServer() override {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    if (write(stop_fd_.get(), &one, sizeof one) == sizeof one) thread_.join();
  }

  Status Open(const std::string& listen) {
    const auto endpoint = Endpoint::Parse(listen);
    if (!endpoint) {
      return InvalidArgument("\"" + listen +
                             "\" is not ADDRESS:PORT (for instance 127.0.0.1:9464)");
    }
    base_.reset(event_base_new());
    if (base_) http_.reset(evhttp_new(base_.get()));
    stop_fd_.Reset(eventfd(0, EFD_CLOEXEC));
    if (!http_ || !stop_fd_) return Unavailable("an HTTP server cannot be made");
    evhttp_set_allowed_methods(http_.get(), EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(http_.get(), kMaxHeaderBytes);
    evhttp_set_max_body_size(http_.get(), 0);
    evhttp_set_timeout(http_.get(), kPatienceSeconds);
    evhttp_set_gencb(
        http_.get(),
        [](evhttp_request* request, void* self) {
          static_cast<EventHttpServer*>(self)->Serve(request);
        },
        this);
    errno = 0;
    evhttp_bound_socket* bound = evhttp_bind_socket_with_handle(
        http_.get(), endpoint->address.ToString().c_str(), endpoint->port);
    if (bound == nullptr) {
      const int error = errno;
      if (error != EADDRINUSE) return ErrnoError("can not listen on " + listen, error);
      return MakeError(Code::kAlreadyExists, listen + " is in use by another program");
    }
    port_ = PortOf(evhttp_bound_socket_get_fd(bound));
    stop_.reset(event_new(
        base_.get(), stop_fd_.get(), EV_READ,
        [](evutil_socket_t, short, void* base) {
          event_base_loopbreak(static_cast<event_base*>(base));
        },
        base_.get()));
    if (!stop_ || event_add(stop_.get(), nullptr) != 0)
      return Unavailable("an HTTP server cannot be made");
    thread_ = std::thread([this] { event_base_dispatch(base_.get()); });
    return Ok();
  }

  int port() const override { return port_; }

 private:
  static int PortOf(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    return address.ss_family == AF_INET6
               ? ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port)
               : ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  }

  // No exception leaves it: libevent is C.
  std::optional<HttpAnswer> AnswerTo(evhttp_request* request) noexcept {
    const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
    const char* path = uri == nullptr ? nullptr : evhttp_uri_get_path(uri);
    if (path == nullptr) return std::nullopt;
    try {
      return ask_(path);
    } catch (const std::exception& error) {
      return HttpAnswer{500, "text/plain", std::string(error.what()) + "\n"};
    }
  }

  void Serve(evhttp_request* request) {
    const HttpAnswer answer = AnswerTo(request).value_or(
        HttpAnswer{404, "text/plain", "there are /metrics and /healthz\n"});
    evkeyvalq* headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", answer.content_type.c_str());
    evhttp_add_header(headers, "Content-Length", std::to_string(answer.body.size()).c_str());
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    const Buffer body(evbuffer_new());
    if (body && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
      evbuffer_add(body.get(), answer.body.data(), answer.body.size());
    evhttp_send_reply(request, answer.status, nullptr, body.get());
  }

  const Ask ask_;
  Base base_;
  Http http_;
  UniqueFd stop_fd_;
  OneEvent stop_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen, Ask ask) {
  auto server = std::make_unique<EventHttpServer>(std::move(ask));
  TRY_VOID(server->Open(listen));
  return server;
}

}  // namespace culprit
