// SPDX-License-Identifier: Apache-2.0
// Community ID, version 1 with seed 0: the hash of a flow's addresses, ports and protocol by which
// tools find each other's records of it; the same for both directions. Stage: common. Thread: pure.
#ifndef CULPRIT_COMMON_COMMUNITY_ID_H_
#define CULPRIT_COMMON_COMMUNITY_ID_H_

#include <cstdint>
#include <string>

#include "common/net_address.h"

namespace culprit {

// Of ICMP and ICMPv6 the port of `source` is the type and that of `destination` the code, of the
// packet that went from `source` to `destination`. Protocols without ports ignore them.
std::string CommunityId(const Endpoint& source, const Endpoint& destination, std::uint8_t protocol);

}  // namespace culprit

#endif  // CULPRIT_COMMON_COMMUNITY_ID_H_
