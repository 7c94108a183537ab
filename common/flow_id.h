// SPDX-License-Identifier: Apache-2.0
// The flow's name, made alike by agent and collector from what every flow row carries: eight random-looking bytes that
// need not travel. SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), keyed with the boot id.
// Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_FLOW_ID_H_
#define CULPRIT_COMMON_FLOW_ID_H_

#include <cstdint>

#include "common/ids.h"
#include "common/net_address.h"

namespace culprit {

struct FlowIdentity {
  SocketCookie cookie;
  std::uint32_t generation = 0;
  // One peer of an unconnected socket: the peer is then part of the identity.
  bool is_peer = false;
  Endpoint remote;
  std::uint8_t protocol = 0;
};

// Never 0.
FlowId MakeFlowId(const Uuid& boot_id, const FlowIdentity& flow);

}  // namespace culprit

#endif  // CULPRIT_COMMON_FLOW_ID_H_
