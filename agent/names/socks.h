// SPDX-License-Identifier: Apache-2.0
// What a client asks a SOCKS proxy for: versions 4, 4a and 5 (RFC 1928, with the sub-negotiation of
// RFC 1929 before it or not). Total on any bytes. Stage: names. Pure. Thread: any.
#ifndef CULPRIT_AGENT_NAMES_SOCKS_H_
#define CULPRIT_AGENT_NAMES_SOCKS_H_

#include <cstddef>
#include <string_view>

#include "agent/model/observation.h"
#include "agent/names/verdict.h"

namespace culprit {

inline constexpr std::size_t kMaxSocksMethods = 16;  // that a greeting offers; more is no greeting
inline constexpr std::size_t kMaxSocks4User = 255;

// The client's stream from its first byte.
Verdict ParseSocks(std::string_view stream, ProxyRequest& out);

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_SOCKS_H_
