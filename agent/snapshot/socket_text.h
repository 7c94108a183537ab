// SPDX-License-Identifier: Apache-2.0
// Lines of /proc/PID/net: the sockets of a network namespace that cannot be entered. Of the same
// form as sock_diag's rows, with less in them: no peers of unix sockets, no bytes of connections.
// Stage: snapshot, pure. Thread: values. Total on any bytes.
#ifndef CULPRIT_AGENT_SNAPSHOT_SOCKET_TEXT_H_
#define CULPRIT_AGENT_SNAPSHOT_SOCKET_TEXT_H_

#include <cstdint>
#include <string_view>

#include "agent/snapshot/evidence.h"

namespace culprit {

// `inode` gets the socket's. Empty for the heading of a table, and for what is no line of it.
Row InetSocketLine(std::string_view line, std::uint8_t protocol, std::uint64_t* inode);
Row UnixSocketLine(std::string_view line, std::uint64_t* inode);
Row PacketSocketLine(std::string_view line, std::uint64_t* inode);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_SOCKET_TEXT_H_
