// SPDX-License-Identifier: Apache-2.0
#include <linux/sockios.h>
#include <netdb.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "collector/alert/alert_body.h"
#include "collector/alert/alert_sender.h"
#include "collector/alert/syslog_address.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using Clock = std::chrono::steady_clock;
using Transport = SyslogAddress::Transport;

// A datagram of this size passes every receiver that keeps to RFC 5426.
constexpr std::size_t kMaxUdp = 2048, kMaxOther = 8192;
// How long a datagram is given to come back as "port unreachable".
constexpr std::chrono::milliseconds kUdpAnswer{100};
constexpr std::chrono::milliseconds kSlice{200};

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

std::string LocalHostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

struct Limit {
  Clock::time_point deadline;
  std::stop_token stop;
};

// Events of `fd`; 0 = the time is over or it was asked to stop.
short WaitFor(int fd, short events, const Limit& limit) {
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

Status SendAll(int fd, std::string_view bytes, const Limit& limit) {
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

Status SendLocal(const std::string& path, const std::string& message, const Limit& limit) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return ErrnoError(path);
  return SendAll(fd.get(), message, limit);
}

Result<Addresses> Resolve(const SyslogAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = address.transport == Transport::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
  if (error != 0) return Unavailable(address.host + ": " + gai_strerror(error));
  return Addresses(list);
}

// The first address that can be connected to.
Result<UniqueFd> Connect(const SyslogAddress& address, const Limit& limit) {
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

Status SendUdp(const SyslogAddress& address, const std::string& message, const Limit& limit) {
  TRY(const UniqueFd fd, Connect(address, limit));
  TRY_VOID(SendAll(fd.get(), message, limit));
  WaitFor(fd.get(), POLLIN, {std::min(limit.deadline, Clock::now() + kUdpAnswer), limit.stop});
  return PendingError(fd.get(), "send");
}

// Who closes after our end has read what came before it. Who never closes has at least acknowledged
// it.
Status AwaitClose(int fd, const Limit& limit) {
  std::array<char, 256> ignored{};
  while (WaitFor(fd, POLLIN, limit) != 0) {
    const ssize_t n = recv(fd, ignored.data(), ignored.size(), MSG_DONTWAIT);
    if (n == 0) return Ok();
    if (n < 0 && errno != EAGAIN && errno != EINTR) return ErrnoError("the receiver ended it");
  }
  int unsent = 0;
  if (ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0 && !limit.stop.stop_requested()) return Ok();
  return MakeError(Code::kDeadlineExceeded, "the receiver has not acknowledged it");
}

Status SendTcp(const SyslogAddress& address, const std::string& message, const Limit& limit) {
  TRY(const UniqueFd fd, Connect(address, limit));
  TRY_VOID(SendAll(fd.get(), std::to_string(message.size()) + " " + message, limit));
  if (shutdown(fd.get(), SHUT_WR) != 0) return ErrnoError("shutdown");
  return AwaitClose(fd.get(), limit);
}

class SyslogSender final : public AlertSender {
 public:
  explicit SyslogSender(const AlertTarget& target)
      : target_(target), address_(ParseSyslogAddress(target.address).value_or(SyslogAddress{})) {}

  SendOutcome Send(const SendRequest& request) override {
    const bool udp = address_.transport == Transport::kUdp;
    const std::string message =
        SyslogMessage(request.alert, target_.facility, LocalHostName(), udp ? kMaxUdp : kMaxOther);
    const Limit limit{Clock::now() + target_.timeout, request.stop};
    const Status sent = udp ? SendUdp(address_, message, limit)
                        : address_.transport == Transport::kTcp
                            ? SendTcp(address_, message, limit)
                            : SendLocal(address_.host, message, limit);
    if (sent) return {SendResult::kDelivered, "", {}};
    return {SendResult::kFailed, sent.error().message, {}};
  }

 private:
  const AlertTarget target_;
  const SyslogAddress address_;
};

}  // namespace

std::unique_ptr<AlertSender> MakeSyslogSender(const AlertTarget& target) {
  return std::make_unique<SyslogSender>(target);
}

}  // namespace culprit
