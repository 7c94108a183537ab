// SPDX-License-Identifier: Apache-2.0
// Why there is no connection: gRPC says "unavailable" to everything, so the steps are taken again
// one by one, by hand: own certificate, name, TCP, TLS and both sides' verdicts on the
// certificates.
//
// Stage: stream (edge: network), in the sender process. Thread: the caller's; takes at most about
// 10 s.
#ifndef CULPRIT_AGENT_STREAM_DIAGNOSE_H_
#define CULPRIT_AGENT_STREAM_DIAGNOSE_H_

#include <string>

#include "common/credentials.h"
#include "common/time.h"
#include "common/unique_fd.h"

namespace culprit {

struct DialTarget {
  std::string address;      // "host:port", "[v6]:port"
  std::string server_name;  // empty = host of address
};
struct HostPort {
  std::string host, port;
};
// Errors: kInvalidArgument.
Result<HostPort> SplitHostPort(const std::string& address);

// A connected socket; the error says what is wrong with the name, the way or the port.
Result<UniqueFd> DialTcp(const std::string& address);

// One line for a person, with the remedy; empty if every step works.
std::string DiagnoseConnection(const DialTarget& target, const Credentials& credentials,
                               WallTime now);
// Likewise, for who has no certificate yet.
std::string DiagnoseServer(const DialTarget& target, const std::string& ca_pem);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_DIAGNOSE_H_
