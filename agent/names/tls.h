// SPDX-License-Identifier: Apache-2.0
// ClientHello (RFC 8446 4.1.2): the server's name (RFC 6066 3) and the protocols offered (RFC
// 7301). Total on any bytes. Stage: names. Pure. Thread: any.
#ifndef CULPRIT_AGENT_NAMES_TLS_H_
#define CULPRIT_AGENT_NAMES_TLS_H_

#include <cstddef>
#include <string_view>

#include "agent/model/observation.h"
#include "agent/names/verdict.h"

namespace culprit {

// A handshake message, as QUIC carries it and TLS puts it into records. With kMore `out` has what
// could be read of it. Its source is the caller's to set.
Verdict ParseClientHello(std::string_view handshake, ServerName& out);

// A stream of TLS records from its first byte.
Verdict ParseTlsStream(std::string_view stream, ServerName& out);

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_TLS_H_
