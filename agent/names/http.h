// SPDX-License-Identifier: Apache-2.0
// The beginning of an HTTP/1 request (RFC 9112): whom it is for. Total on any bytes. Stage: names.
// Pure. Thread: any.
#ifndef CULPRIT_AGENT_NAMES_HTTP_H_
#define CULPRIT_AGENT_NAMES_HTTP_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/model/observation.h"
#include "agent/names/verdict.h"

namespace culprit {

inline constexpr std::size_t kMaxHttpMethod = 16;

// A ServerName (the authority of an absolute target, else the Host field) or, of CONNECT, a
// ProxyRequest. kOther too for a request that names nobody.
Verdict ParseHttpRequest(std::string_view stream, Observation& out);

// "host", "host:port" or "[v6]:port". False: neither host nor a port that is a number. `port` stays
// as it is without one.
bool SplitAuthority(std::string_view authority, std::string_view& host, std::uint16_t& port);

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_HTTP_H_
