// SPDX-License-Identifier: Apache-2.0
// Who began, by ports alone: where nobody saw the first packet.
// Stage: common. Thread: values.
#ifndef CULPRIT_COMMON_SERVICE_PORT_H_
#define CULPRIT_COMMON_SERVICE_PORT_H_

#include <cstdint>

namespace culprit {

// Whether the end at `port` serves the one at `other`, host byte order: below privileged ports, or
// below those that Linux gives to clients (ip_local_port_range), with the other end above. Neither
// end serves where both are on the same side.
constexpr bool ServesByPorts(std::uint16_t port, std::uint16_t other) {
  constexpr std::uint16_t kFirstUnprivileged = 1'024, kFirstEphemeral = 32'768;
  return (port < kFirstUnprivileged && other >= kFirstUnprivileged) ||
         (port < kFirstEphemeral && other >= kFirstEphemeral);
}

}  // namespace culprit

#endif  // CULPRIT_COMMON_SERVICE_PORT_H_
