// SPDX-License-Identifier: Apache-2.0
#include "collector/format/protocol_number.h"

#include <netinet/in.h>

#include <charconv>
#include <cstdint>
#include <utility>

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
  std::uint8_t number = 0;
  const char* end = protocol.data() + protocol.size();
  const auto [at, error] = std::from_chars(protocol.data(), end, number);
  return error == std::errc() && at == end ? number : -1;
}

}  // namespace culprit
