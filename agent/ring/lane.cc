// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/lane.h"

#include <netinet/in.h>

#include <algorithm>

namespace culprit {
namespace {

constexpr std::uint16_t kDnsPort = 53;

bool EitherPort(const Packet& packet, std::uint16_t port) {
  return packet.source_port == port || packet.destination_port == port;
}

}  // namespace

RingLane LaneOf(const Packet* headers, const std::vector<std::uint16_t>& ssh_ports) {
  // What is within a tunnel had the rate of the tunnel.
  if (headers == nullptr || headers->tunnel != Tunnel::kNone) return RingLane::kGeneral;
  const bool tcp = headers->protocol == IPPROTO_TCP;
  if (tcp && std::any_of(ssh_ports.begin(), ssh_ports.end(),
                         [&](std::uint16_t port) { return EitherPort(*headers, port); })) {
    return RingLane::kLogin;
  }
  if (EitherPort(*headers, kDnsPort)) return RingLane::kContact;
  return tcp && (headers->tcp_flags & kTcpSyn) != 0 ? RingLane::kContact : RingLane::kGeneral;
}

}  // namespace culprit
