// SPDX-License-Identifier: Apache-2.0
#include "agent/canary.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "common/unique_fd.h"

namespace culprit {

void Canary::SetInterval(std::chrono::milliseconds interval) {
  interval_ = interval;
  next_ = {};
  if (interval.count() > 0) return;
  port_ = 0;
  misses_ = 0;
  failure_.clear();
}

void Canary::On(const FlowEvent& flow) {
  if (port_ == 0 || flow.owner.tgid.value() != own_pid_ || flow.protocol != IPPROTO_TCP) return;
  if (flow.remote.port != port_ || !flow.remote.address.IsLoopback()) return;
  ++seen_;
  port_ = 0;
  misses_ = 0;
}

void Canary::Tick(BootTime now, std::uint64_t lost) {
  if (interval_.count() == 0) return;
  if (port_ != 0) {
    if (now - begun_ < kBound) return;
    port_ = 0;
    // Its record may be among those that were lost.
    if (lost == lost_) {
      ++misses_;
      next_ = now;
    }
  }
  if (now >= next_) Begin(now, lost);
}

void Canary::Begin(BootTime now, std::uint64_t lost) {
  next_ = now + interval_;
  begun_ = now;
  lost_ = lost;
  auto port = probe_();
  failure_ = port ? "" : port.error().message;
  if (!port) return;
  ++made_;
  port_ = *port;
}

std::string Canary::note() const {
  if (interval_.count() == 0) return "switched off (canary)";
  if (blind()) return "connections of its own do not show up in its own events";
  if (!failure_.empty()) return "it could not connect to itself";
  return "";
}

Result<std::uint16_t> ConnectToOneself() {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener || !client) return ErrnoError("canary: socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), any, sizeof address) != 0 || listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), any, &size) != 0) {
    return ErrnoError("canary: listen on 127.0.0.1");
  }
  // On loopback it is there when connect() returns, but for a firewall that keeps it.
  if (connect(client.get(), any, sizeof address) != 0 && errno != EINPROGRESS)
    return ErrnoError("canary: connect to 127.0.0.1");
  const UniqueFd accepted(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!accepted) return ErrnoError("canary: accept on 127.0.0.1");
  return ntohs(address.sin_port);
}

}  // namespace culprit
