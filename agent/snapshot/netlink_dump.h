// SPDX-License-Identifier: Apache-2.0
// Questions to netlink that are answered with a list. Stage: snapshot (edge: a socket). Thread:
// any.
#ifndef CULPRIT_AGENT_SNAPSHOT_NETLINK_DUMP_H_
#define CULPRIT_AGENT_SNAPSHOT_NETLINK_DUMP_H_

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "agent/snapshot/sock_diag.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

// One dump: asks, and hands over each packet of the answer until it is done. Errors: refused, or no
// answer in a second.
template <class Body>
Status NetlinkDump(int protocol, std::uint16_t type, const Body& body,
                   const std::function<bool(std::string_view)>& each) {
  const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return ErrnoError("netlink");
  const timeval second{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  struct {
    nlmsghdr head;
    Body body;
  } request{};
  request.head.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof(Body)));
  request.head.nlmsg_type = type;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body = body;
  if (send(fd.get(), &request, request.head.nlmsg_len, 0) < 0) return ErrnoError("netlink");
  constexpr std::size_t kAnswer = std::size_t{64} << 10;
  std::string answer(kAnswer, '\0');
  while (true) {
    const ssize_t got = recv(fd.get(), answer.data(), answer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return ErrnoError("netlink");
    int error = 0;
    bool done = false;
    const std::string_view bytes(answer.data(), static_cast<std::size_t>(got));
    ForEachMessage(bytes, [&](std::uint16_t kind, std::string_view message) {
      done |= kind == NLMSG_DONE || kind == NLMSG_ERROR;
      if (kind == NLMSG_ERROR && message.size() >= sizeof(int))
        std::memcpy(&error, message.data(), sizeof error);
    });
    if (error != 0) return ErrnoError("netlink", -error);
    if (!each(bytes)) return MakeError(Code::kResourceExhausted, "more than the limit");
    if (done) return Ok();
  }
}

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_NETLINK_DUMP_H_
