// SPDX-License-Identifier: Apache-2.0
// A captured packet, as its source hands it over and as agent/decode understands it.
// Stage: model. Thread: values; views point into the caller's bytes and are valid as long as those.
#ifndef CULPRIT_AGENT_MODEL_PACKET_H_
#define CULPRIT_AGENT_MODEL_PACKET_H_

#include <cstdint>
#include <string_view>

#include "common/net_address.h"
#include "common/time.h"

namespace culprit {

// As it was taken from a wire or a file.
struct CapturedPacket {
  std::int64_t wall_ns = 0;  // since 1970-01-01 UTC, by the capture
  int link_type = 0;         // LINKTYPE_* (tcpdump.org/linktypes.html)
  std::uint32_t interface = 0;
  std::uint32_t wire_bytes = 0;  // as it was; `bytes` may be cut
  std::string_view bytes;
  std::uint64_t process = 0;  // ProcessId where the file names one (pcapng of our own); 0 = unknown
  std::uint64_t flow = 0;     // FlowId likewise
};

// TCP flags (RFC 9293 3.1).
inline constexpr std::uint8_t kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPsh = 8, kTcpAck = 16;

// Values are stable: they appear in records of interfaces and statistics.
enum class Tunnel : std::uint8_t {
  kNone = 0,
  kGre = 1,
  kIpIp = 2,  // IPv4 or IPv6 in IPv4 or IPv6
  kVxlan = 3,
  kGeneve = 4,
  kErspan = 5,
  kGtp = 6,
  kMpls = 7,
  kTeredo = 8,
};

// The innermost IP packet and its transport header. Lengths come from the headers, not from what
// was captured.
struct Packet {
  IpAddress source, destination;
  std::uint16_t source_port = 0, destination_port = 0;  // TCP, UDP, SCTP, UDP-Lite; 0 for others
  std::uint8_t ip_version = 0;                          // 4 or 6
  std::uint8_t protocol = 0;                            // IPPROTO_*, behind extension headers
  std::uint8_t tcp_flags = 0;
  std::uint8_t icmp_type = 0, icmp_code = 0;
  std::uint32_t tcp_seq = 0, tcp_ack = 0;
  std::uint16_t tcp_window = 0;
  std::uint32_t ip_bytes = 0;  // whole IP packet, header included
  std::uint32_t payload_bytes =
      0;                        // behind the transport header; of a fragment: behind the IP header
  std::string_view payload;     // what of it was captured; never longer than payload_bytes
  bool fragment = false;        // other than the first: no ports
  bool first_fragment = false;  // more follow; ip_bytes and payload_bytes are of this fragment
  Tunnel tunnel = Tunnel::kNone;              // outermost that the packet was taken out of
  IpAddress outer_source, outer_destination;  // of that tunnel
  std::uint32_t tunnel_id = 0;                // VNI, GRE key, GTP TEID; 0 = none
  std::uint16_t vlan = 0;                     // outermost VLAN id; 0 = none
};

enum class PacketStatus : std::uint8_t {
  kOk = 0,
  kNotIp = 1,        // ARP, LLDP, 802.11 management and the like
  kTruncated = 2,    // snaplen cut a header that is needed
  kMalformed = 3,    // a header contradicts itself
  kUnknownLink = 4,  // link type that is not understood
  kTooDeep = 5,      // more nested headers than are followed
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_PACKET_H_
