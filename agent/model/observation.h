// SPDX-License-Identifier: Apache-2.0
// What payload says: names asked for (DNS), names of servers (TLS, QUIC, HTTP) and destinations
// that a client asks a proxy for (SOCKS, CONNECT). Everything here was written by whoever sent the
// packet: bounded, escaped, never trusted. Stage: model. Thread: values.
#ifndef CULPRIT_AGENT_MODEL_OBSERVATION_H_
#define CULPRIT_AGENT_MODEL_OBSERVATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/net_address.h"

namespace culprit {

// Values as in culprit.v1.NameSource.
enum class NameSource : std::uint8_t {
  kNone = 0,
  kDns = 1,          // an answer that the same process (or host) was given shortly before
  kTlsSni = 2,       // RFC 6066 3
  kQuicSni = 3,      // the same within a QUIC Initial (RFC 9001 5.2)
  kHttpHost = 4,     // RFC 9110 7.2
  kSocks = 5,        // RFC 1928, and SOCKS 4, 4a
  kHttpConnect = 6,  // RFC 9110 9.3.6
  kStratum = 7,      // the name is who logs in to a pool of miners, and may be empty
};

// Names are lower case (but for kStratum: wallets are told apart by it), without the root's dot, at most 253 characters; bytes other than printable
// ASCII and blanks as \xNN, a backslash as \x5c.
inline constexpr std::size_t kMaxNameLength = 253;
inline constexpr std::size_t kMaxDnsAnswers = 32;  // kept of one message; later ones are left out
inline constexpr std::size_t kMaxAlpn = 8;         // protocols kept of one hello

struct DnsAnswer {
  std::string name;
  std::uint16_t type = 0;  // A 1, CNAME 5, AAAA 28, …
  std::uint32_t ttl_s = 0;
  IpAddress address;   // A and AAAA
  std::string target;  // CNAME, NS, PTR, MX, SRV
};

struct DnsMessage {
  std::uint16_t id = 0;
  bool response = false, truncated = false;
  std::uint8_t opcode = 0, rcode = 0;
  std::string name;              // of the first question
  std::uint16_t type = 0;        // QTYPE of it
  std::uint16_t name_bytes = 0;  // encoded length of the name as it was on the wire
  std::uint32_t message_bytes = 0;
  std::vector<DnsAnswer> answers;
  bool multicast = false;  // port 5353 or 5355: mDNS, LLMNR
};

struct ServerName {
  NameSource source = NameSource::kNone;
  std::string name;               // empty: a hello without one
  std::vector<std::string> alpn;  // escaped like names
};

// A client on an inbound leg chose the destination.
struct ProxyRequest {
  NameSource source = NameSource::kNone;  // kSocks or kHttpConnect
  std::string host;                       // name or address text
  std::uint16_t port = 0;
  std::uint8_t command = 1;  // SOCKS: 1 connect, 2 bind, 3 UDP associate
};

using Observation = std::variant<DnsMessage, ServerName, ProxyRequest>;

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_OBSERVATION_H_
