// SPDX-License-Identifier: Apache-2.0
// One end of the socketpair between sensor and sender: whole datagrams, each with at most one
// descriptor. Stage: stream (edge: sockets). Thread: sending and receiving may be on two threads.
// No message is over kMaxDatagramBytes.
#ifndef CULPRIT_AGENT_STREAM_LINK_SOCKET_H_
#define CULPRIT_AGENT_STREAM_LINK_SOCKET_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

inline constexpr std::size_t kMaxDatagramBytes = 16'384;

struct Datagram {
  enum class What { kMessage, kNothingYet, kClosed } what = What::kNothingYet;
  std::string bytes;
  UniqueFd fd;
};

// False if the peer's buffer is full and `wait` is false. `pass_fd` -1 = none.
Result<bool> SendDatagram(int socket, std::string_view bytes, int pass_fd, bool wait);
Result<Datagram> ReceiveDatagram(int socket, bool wait);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_LINK_SOCKET_H_
