// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/syslog_socket.h"

#include <linux/sockios.h>
#include <netdb.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace culprit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSlice{200};

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> Resolve(const SyslogAddress& address) {
  addrinfo hints{};
  hints.ai_socktype =
      address.transport == SyslogAddress::Transport::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
  if (error != 0) return Unavailable(address.host + ": " + gai_strerror(error));
  return Addresses(list);
}

}  // namespace

short WaitFor(int fd, short events, const SendLimit& limit) {
  while (!limit.stop.stop_requested()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(limit.deadline - Clock::now());
    if (left.count() <= 0) return 0;
    pollfd one{fd, events, 0};
    const int n = poll(&one, 1, static_cast<int>(std::min(left, kSlice).count()));
    if (n > 0) return one.revents;
    if (n < 0 && errno != EINTR) return 0;
  }
  return 0;
}

Status PendingError(int fd, const char* what) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return ErrnoError(what);
  return error == 0 ? Ok() : Status(ErrnoError(what, error));
}

Status SendAll(int fd, std::string_view bytes, const SendLimit& limit) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      if (WaitFor(fd, POLLOUT, limit) == 0)
        return MakeError(Code::kDeadlineExceeded, "the receiver does not read");
    } else if (errno != EINTR) {
      return ErrnoError("send");
    }
  }
  return Ok();
}

Result<UniqueFd> ConnectTo(const SyslogAddress& address, const SendLimit& limit) {
  TRY(const Addresses list, Resolve(address));
  Error last = Unavailable(address.host + ": no address");
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    UniqueFd fd(
        socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol));
    if (!fd) continue;
    if (connect(fd.get(), at->ai_addr, at->ai_addrlen) == 0) return fd;
    if (errno != EINPROGRESS) {
      last = ErrnoError("connect");
    } else if (WaitFor(fd.get(), POLLOUT, limit) == 0) {
      last = MakeError(Code::kDeadlineExceeded, "connect: no answer");
    } else if (const Status connected = PendingError(fd.get(), "connect"); connected) {
      return fd;
    } else {
      last = connected.error();
    }
  }
  return last;
}

Status CheckAcknowledged(int fd, const SendLimit& limit) {
  int unsent = 0;
  if (ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0 && !limit.stop.stop_requested()) return Ok();
  return MakeError(Code::kDeadlineExceeded, "the receiver has not acknowledged it");
}

Status AwaitClose(int fd, const SendLimit& limit) {
  std::array<char, 256> ignored{};
  while (WaitFor(fd, POLLIN, limit) != 0) {
    const ssize_t n = recv(fd, ignored.data(), ignored.size(), MSG_DONTWAIT);
    if (n == 0) return Ok();
    if (n < 0 && errno != EAGAIN && errno != EINTR) return ErrnoError("the receiver ended it");
  }
  return CheckAcknowledged(fd, limit);
}

}  // namespace culprit
