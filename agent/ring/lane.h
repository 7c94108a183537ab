// SPDX-License-Identifier: Apache-2.0
// Lanes of the ring: each has its own room on disk, so that what fills one evicts nothing of
// another. Stage: ring. Pure. Thread: values.
#ifndef CULPRIT_AGENT_RING_LANE_H_
#define CULPRIT_AGENT_RING_LANE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "agent/model/packet.h"

namespace culprit {

enum class RingLane : std::uint8_t {
  kGeneral = 0,
  kLogin = 1,    // SSH
  kContact = 2,  // DNS, the SYNs of every connection, and how first contacts begin (contact_book.h)
};
inline constexpr std::size_t kRingLanes = 3;
// Names of their directories.
inline constexpr std::array<const char*, kRingLanes> kRingLaneNames = {"general", "login",
                                                                       "contact"};

// `headers` is null where the packet is no IP. The same rule as bpf/tap.bpf.c has for its classes.
RingLane LaneOf(const Packet* headers, const std::vector<std::uint16_t>& ssh_ports);

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_LANE_H_
