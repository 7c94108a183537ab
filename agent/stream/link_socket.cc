// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/link_socket.h"

#include <sys/socket.h>

#include <array>
#include <cstring>

namespace culprit {

Result<bool> SendDatagram(int socket, std::string_view bytes, int pass_fd, bool wait) {
  if (bytes.empty() || bytes.size() > kMaxDatagramBytes) {
    return InvalidArgument("link message of " + std::to_string(bytes.size()) + " bytes");
  }
  std::string copy(bytes);
  iovec iov{copy.data(), copy.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (pass_fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &pass_fd, sizeof pass_fd);
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) return false;
    return ErrnoError("send to the other process");
  }
  return true;
}

Result<Datagram> ReceiveDatagram(int socket, bool wait) {
  Datagram out;
  out.bytes.resize(kMaxDatagramBytes);
  iovec iov{out.bytes.data(), out.bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  while ((n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT))) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return out;
    if (errno == ECONNRESET) {
      out.what = Datagram::What::kClosed;
      return out;
    }
    return ErrnoError("receive from the other process");
  }
  const cmsghdr* c = CMSG_FIRSTHDR(&message);
  if (c != nullptr && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
      c->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    out.fd.Reset(fd);
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return DataLoss("a message of the other process was cut off");
  }
  out.bytes.resize(static_cast<std::size_t>(n));
  // Nobody sends empty datagrams: zero bytes is the end.
  out.what = n == 0 ? Datagram::What::kClosed : Datagram::What::kMessage;
  return out;
}

}  // namespace culprit
