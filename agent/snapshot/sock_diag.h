// SPDX-License-Identifier: Apache-2.0
// Answers of the kernel's sock_diag and rtnetlink, read as bytes. Stage: snapshot, pure. Thread:
// values. Total on any bytes.
#ifndef CULPRIT_AGENT_SNAPSHOT_SOCK_DIAG_H_
#define CULPRIT_AGENT_SNAPSHOT_SOCK_DIAG_H_

#include <linux/inet_diag.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "agent/snapshot/evidence.h"

namespace culprit {

// Calls `each` with type and body of every whole netlink message.
void ForEachMessage(std::string_view bytes,
                    const std::function<void(std::uint16_t, std::string_view)>& each);
// Attributes behind a fixed header: type (without flags) and value.
void ForEachAttribute(std::string_view bytes,
                      const std::function<void(std::uint16_t, std::string_view)>& each);

// One question for each protocol and family of internet sockets; what is asked about them is the
// caller's to fill in.
void ForEachInetRequest(const std::function<void(inet_diag_req_v2)>& ask);

// As rows name them: "tcp", "listen".
const char* SocketProtocolName(std::uint8_t protocol);
const char* TcpStateName(unsigned state);

// A row for each socket; `inode` gets its inode. Empty if the body is too short.
Row InetSocketRow(std::string_view body, std::uint8_t protocol, std::uint64_t* inode);
Row UnixSocketRow(std::string_view body, std::uint64_t* inode);
Row PacketSocketRow(std::string_view body, std::uint64_t* inode);

// Rows of RTM_NEWLINK, NEWADDR, NEWROUTE, NEWRULE and NEWNEIGH; empty for others.
Row RouteRow(std::uint16_t type, std::string_view body);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_SOCK_DIAG_H_
