// SPDX-License-Identifier: Apache-2.0
// How the layers of agent/decode/packet_decoder work together: each takes its header off the walk
// and names the next. Stage: decode. Pure. Thread: values. Only packet_decoder.cc, link_layer.cc,
// ip_layer.cc and tunnel_layer.cc use it.
#ifndef CULPRIT_AGENT_DECODE_PACKET_WALK_H_
#define CULPRIT_AGENT_DECODE_PACKET_WALK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/model/packet.h"
#include "common/bytes.h"

// Returns from a layer whose `walk` has not so many bytes.
#define NEED_BYTES(n)                                                                  \
  if (const PacketStatus need_bytes = walk.Need(n); need_bytes != PacketStatus::kOk) { \
    return need_bytes;                                                                 \
  }

namespace culprit {

enum class Layer : std::uint8_t {
  kLink,       // by `type`, a LINKTYPE_*
  kEthernet,   // destination and source address first
  kEtherType,  // by `type`
  kLlc,        // IEEE 802.2
  kPpp,
  kMpls,
  kIp,         // IPv4 or IPv6 by the first nibble
  kTransport,  // by out.protocol
  kGre,
  kUdpTunnel,  // what the ports of a UDP packet suggest
  kDone,
};

struct Walk {
  std::string_view bytes;  // captured, and not yet understood
  std::size_t wire = 0;    // as many as there were on the wire; never less than bytes.size()
  Layer layer = Layer::kLink;
  std::uint32_t type = 0;
  Packet* out = nullptr;
  // The packet to fall back to where what is inside does not check out.
  std::optional<Packet> carrier;
  bool guessed = false;  // the carrier's ports suggest a tunnel; nothing says that it is one

  std::uint8_t U8(std::size_t at) const { return static_cast<std::uint8_t>(bytes[at]); }
  std::uint16_t U16(std::size_t at) const { return LoadBe<std::uint16_t>(bytes.data() + at); }
  std::uint32_t U32(std::size_t at) const { return LoadBe<std::uint32_t>(bytes.data() + at); }

  // kOk if `n` bytes can be read.
  PacketStatus Need(std::size_t n) const {
    if (bytes.size() >= n) return PacketStatus::kOk;
    return wire >= n ? PacketStatus::kTruncated : PacketStatus::kMalformed;
  }
  void Skip(std::size_t n) {
    bytes.remove_prefix(std::min(n, bytes.size()));
    wire -= std::min(n, wire);
  }
  // What lies behind is padding.
  void Cut(std::size_t n) {
    wire = std::min(wire, n);
    bytes = bytes.substr(0, wire);
  }
  PacketStatus Next(Layer next, std::uint32_t next_type = 0) {
    layer = next;
    type = next_type;
    return PacketStatus::kOk;
  }
  // The IP packet in *out carries another.
  void EnterTunnel(Tunnel kind, std::uint32_t id, bool by_port_only);
};

PacketStatus WalkLink(Walk& walk);
PacketStatus WalkEthernet(Walk& walk);
PacketStatus WalkEtherType(Walk& walk);
PacketStatus WalkLlc(Walk& walk);
PacketStatus WalkPpp(Walk& walk);
PacketStatus WalkMpls(Walk& walk);
PacketStatus WalkIp(Walk& walk);
PacketStatus WalkTransport(Walk& walk);
PacketStatus WalkGre(Walk& walk);
PacketStatus WalkUdpTunnel(Walk& walk);
// Whether WalkUdpTunnel would look into it.
bool SuggestsTunnel(std::uint16_t source_port, std::uint16_t destination_port);

}  // namespace culprit

#endif  // CULPRIT_AGENT_DECODE_PACKET_WALK_H_
