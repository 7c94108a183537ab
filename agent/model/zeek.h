// SPDX-License-Identifier: Apache-2.0
// What Zeek's conn.log and dns.log say, of one line each.
// Stage: model. Thread: values. A field that the log leaves out or marks as unset is empty.
#ifndef CULPRIT_AGENT_MODEL_ZEEK_H_
#define CULPRIT_AGENT_MODEL_ZEEK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/net_address.h"

namespace culprit {

struct ZeekConn {
  std::int64_t wall_ns = 0;  // of the first packet
  std::string uid;
  // Of ICMP: the ports are the type and the code, as Zeek writes them.
  Endpoint originator, responder;
  std::uint8_t protocol = 0;  // IPPROTO_*; 0 = unknown_transport
  std::string service;        // several are joined by commas
  std::optional<std::int64_t> duration_ns;
  std::optional<std::uint64_t> orig_bytes, resp_bytes;  // of payload
  std::string conn_state;                               // "SF", "S0", "REJ", …
  std::string history;
  std::optional<std::uint64_t> missed_bytes;
  std::optional<std::uint64_t> orig_pkts, orig_ip_bytes, resp_pkts, resp_ip_bytes;
};

struct ZeekDns {
  std::int64_t wall_ns = 0;
  std::string uid;
  Endpoint originator, responder;
  std::uint8_t protocol = 0;
  std::string query;
  std::optional<std::uint16_t> qtype, rcode;
  std::vector<std::string> answers;
  std::vector<std::int64_t> ttl_ns;  // of each answer; shorter if the log has fewer
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_ZEEK_H_
