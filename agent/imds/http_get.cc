// SPDX-License-Identifier: Apache-2.0
#include "agent/imds/http_get.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "common/ascii.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kMaxResponseBytes = 64U << 10;

Status WaitFor(int fd, short events, steady_clock::time_point deadline) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) return MakeError(Code::kDeadlineExceeded, "no answer in time");
    pollfd poll_fd{fd, events, 0};
    const int n = poll(&poll_fd, 1, static_cast<int>(left.count()) + 1);
    if (n < 0 && errno != EINTR) return ErrnoError("poll");
    if (n > 0) return Ok();
  }
}

Result<UniqueFd> Connect(const Endpoint& peer, steady_clock::time_point deadline) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const auto& bytes = peer.address.bytes();
  if (peer.address.IsV4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(peer.port);
    std::memcpy(&in->sin_addr, bytes.data() + 12, 4);
    length = sizeof(sockaddr_in);
  } else {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&storage);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(peer.port);
    std::memcpy(&in6->sin6_addr, bytes.data(), 16);
    length = sizeof(sockaddr_in6);
  }
  UniqueFd fd(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
    if (errno != EINPROGRESS) return ErrnoError("connect to " + peer.ToString());
    TRY_VOID(WaitFor(fd.get(), POLLOUT, deadline));
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
      return ErrnoError("connect");
    if (error != 0) return ErrnoError("connect to " + peer.ToString(), error);
  }
  return fd;
}

}  // namespace

Result<Endpoint> ParseHttpEndpoint(std::string_view endpoint) {
  constexpr std::string_view kScheme = "http://";
  if (!endpoint.starts_with(kScheme)) return InvalidArgument("expected http://ADDRESS[:PORT]");
  endpoint.remove_prefix(kScheme.size());
  while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  TRY(Endpoint peer, Endpoint::Parse(endpoint));
  if (peer.port == 0) peer.port = 80;
  return peer;
}

Result<std::string> ParseHttpResponse(std::string_view response) {
  const std::size_t head_end = response.find("\r\n\r\n");
  if (!response.starts_with("HTTP/1.") || head_end == std::string_view::npos || head_end < 12) {
    return DataLoss("not an HTTP answer");
  }
  const std::string_view status = response.substr(9, 3);
  if (status == "404") return NotFound("HTTP status 404");
  if (status == "401") return MakeError(Code::kUnauthenticated, "HTTP status 401");
  if (status != "200") return Unavailable("HTTP status " + std::string(status));
  const std::string head = AsciiLower(response.substr(0, head_end + 2));
  if (head.find("\r\ntransfer-encoding:") != std::string::npos)
    return DataLoss("HTTP transfer encoding");
  const std::string_view body = response.substr(head_end + 4);
  constexpr std::string_view kLength = "\r\ncontent-length:";
  const std::size_t at = head.find(kLength);
  if (at == std::string::npos) return std::string(body);
  const std::string_view number =
      TrimFront(std::string_view(head).substr(at + kLength.size()), " ");
  std::size_t length = 0;
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), length);
  if (error != std::errc() || length > body.size()) return DataLoss("HTTP answer is cut short");
  return std::string(body.substr(0, length));
}

Result<std::string> HttpExchange(const std::string& endpoint, const HttpRequest& request,
                                 std::chrono::milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  TRY(const Endpoint peer, ParseHttpEndpoint(endpoint));
  TRY(const UniqueFd fd, Connect(peer, deadline));
  const std::string text =
      request.method + " " + request.target + " HTTP/1.1\r\nHost: " + peer.ToString() +
      "\r\nConnection: close\r\nContent-Length: 0\r\n" + request.headers + "\r\n";
  // Smaller than any socket buffer: one send takes it.
  if (send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
    return ErrnoError("send");
  }
  std::string response;
  while (true) {
    TRY_VOID(WaitFor(fd.get(), POLLIN, deadline));
    std::array<char, 4096> buffer{};
    const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return ErrnoError("receive");
    if (n == 0) break;
    response.append(buffer.data(), static_cast<std::size_t>(n));
    if (response.size() > kMaxResponseBytes) return DataLoss("HTTP answer over 64 KiB");
  }
  return ParseHttpResponse(response);
}

}  // namespace culprit
