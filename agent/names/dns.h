// SPDX-License-Identifier: Apache-2.0
// DNS messages (RFC 1035, 6762, 4795). Total on any bytes. Stage: names. Pure. Thread: any.
#ifndef CULPRIT_AGENT_NAMES_DNS_H_
#define CULPRIT_AGENT_NAMES_DNS_H_

#include <cstddef>
#include <optional>
#include <string_view>

#include "agent/model/observation.h"

namespace culprit {

inline constexpr std::size_t kMaxDnsPointers = 32;  // that one name is put together from
inline constexpr std::size_t kMaxDnsName = 255;     // encoded, RFC 1035 3.1

// Without the length that TCP puts before it. Nothing: no DNS message, or one cut before its
// question ends. Of a cut one the answers that are whole are kept. `multicast` is the caller's to
// set.
std::optional<DnsMessage> ParseDns(std::string_view message);

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_DNS_H_
