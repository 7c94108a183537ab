// SPDX-License-Identifier: Apache-2.0
// Syslog over TLS (RFC 5425), over a socket that is connected.
// Stage: alert (edge: network, files). Thread: any. TLS 1.2 and later. The receiver's certificate
// must be for `host` (a name or an address). Files are read for every attempt, so that they are
// renewed without a restart; a key with a pass phrase is refused, nobody could be asked for it.
#ifndef CULPRIT_COLLECTOR_ALERT_SYSLOG_TLS_H_
#define CULPRIT_COLLECTOR_ALERT_SYSLOG_TLS_H_

#include <string>
#include <string_view>

#include "collector/alert/syslog_socket.h"
#include "common/result.h"

namespace culprit {

struct TlsPeer {
  std::string host;
  std::string ca_file;                     // empty = the system's authorities
  std::string certificate_file, key_file;  // who we are; empty = nobody asks
};

// Ok once the receiver has ended the session or closed the connection in answer to our end of it,
// which it does after it has read what came before; or, if it never does, once its system has
// acknowledged all. A connection that is reset is no delivery.
Status SendOverTls(int fd, const TlsPeer& peer, std::string_view bytes, const SendLimit& limit);

// That the files are there and fit together.
Status CheckTlsFiles(const TlsPeer& peer);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_SYSLOG_TLS_H_
