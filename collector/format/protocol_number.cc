// SPDX-License-Identifier: Apache-2.0
#include "collector/format/protocol_number.h"

#include <netinet/in.h>

#include <cstdint>
#include <utility>

#include "common/number.h"

namespace culprit {

int ProtocolNumber(const std::string& protocol) {
  const std::pair<const char*, int> named[] = {{"tcp", IPPROTO_TCP},
                                               {"udp", IPPROTO_UDP},
                                               {"icmp", IPPROTO_ICMP},
                                               {"icmp6", IPPROTO_ICMPV6},
                                               {"sctp", IPPROTO_SCTP}};
  for (const auto& [name, number] : named) {
    if (protocol == name) return number;
  }
  const auto number = AsNumber<std::uint8_t>(protocol);
  return number ? *number : -1;
}

}  // namespace culprit
