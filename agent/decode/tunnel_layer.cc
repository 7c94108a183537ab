// SPDX-License-Identifier: Apache-2.0
// GRE and the tunnels over UDP of agent/decode/packet_decoder: see packet_walk.h.
#include "agent/decode/packet_walk.h"

namespace culprit {
namespace {

constexpr std::uint16_t kVxlanPort = 4789, kVxlanLinuxPort = 8472, kGenevePort = 6081;
constexpr std::uint16_t kGtpPort = 2152, kTeredoPort = 3544;
constexpr std::uint16_t kErspan2 = 0x88be, kErspan3 = 0x22eb;
constexpr std::uint16_t kPppInGre = 0x880b, kWccp = 0x883e;

// Before any of them the IP packet, whose payload the tunnel's header is, stands in *out as it
// would without a tunnel.
void EndAsPayload(Walk& walk) {
  walk.out->payload_bytes = static_cast<std::uint32_t>(walk.wire);
  walk.out->payload = walk.bytes;
}

PacketStatus WalkErspan(Walk& walk, std::uint16_t protocol, bool numbered) {
  if (protocol == kErspan2 && !numbered) {  // type I has no header of its own
    walk.EnterTunnel(Tunnel::kErspan, 0, false);
    return walk.Next(Layer::kEthernet);
  }
  const std::size_t fixed = protocol == kErspan2 ? 8 : 12;
  NEED_BYTES(fixed);
  const std::uint32_t session = walk.U16(2) & 0x3ff;
  const bool platform = protocol == kErspan3 && (walk.U8(11) & 1) != 0;
  const std::size_t header = fixed + (platform ? 8 : 0);
  NEED_BYTES(header);
  walk.EnterTunnel(Tunnel::kErspan, session, false);
  walk.Skip(header);
  return walk.Next(Layer::kEthernet);
}

struct GreHeader {
  std::size_t size = 4;
  std::uint16_t protocol = 0;
  std::uint32_t key = 0;
  bool numbered = false;
};

// kNotIp: a version or a routing list (RFC 1701) that nobody sends any more.
PacketStatus ReadGre(const Walk& walk, GreHeader& out) {
  NEED_BYTES(4);
  constexpr std::uint16_t kChecksum = 0x8000, kRouting = 0x4000, kKey = 0x2000, kSequence = 0x1000;
  constexpr std::uint16_t kAcknowledge = 0x0080, kVersion = 0x0007;
  const std::uint16_t flags = walk.U16(0);
  const int version = flags & kVersion;
  out.protocol = walk.U16(2);
  out.numbered = (flags & kSequence) != 0;
  if (version > 1 || (flags & kRouting) != 0) return PacketStatus::kNotIp;
  if ((flags & kChecksum) != 0) out.size += 4;
  if ((flags & kKey) != 0) {
    NEED_BYTES(out.size + 4);
    out.key = walk.U32(out.size);
    out.size += 4;
  }
  if (out.numbered) out.size += 4;
  if (version == 1) {
    out.key &= 0xffff;  // the call; above it is a length
    if ((flags & kAcknowledge) != 0) out.size += 4;
    if (out.protocol != kPppInGre) return PacketStatus::kNotIp;
  }
  NEED_BYTES(out.size);
  return PacketStatus::kOk;
}

PacketStatus WalkVxlan(Walk& walk) {
  NEED_BYTES(8);
  constexpr std::uint8_t kHasId = 0x08, kGroupPolicy = 0x80;
  const std::uint8_t flags = walk.U8(0);
  if ((flags & kHasId) == 0 || (flags & ~(kHasId | kGroupPolicy)) != 0 || walk.U8(7) != 0) {
    return PacketStatus::kNotIp;
  }
  const std::uint32_t id = walk.U32(4) >> 8;
  walk.EnterTunnel(Tunnel::kVxlan, id, true);
  walk.Skip(8);
  return walk.Next(Layer::kEthernet);
}

PacketStatus WalkGeneve(Walk& walk) {
  NEED_BYTES(8);
  const std::size_t header = 8 + (walk.U8(0) & 0x3fU) * 4;
  if ((walk.U8(0) >> 6) != 0 || walk.U8(7) != 0) return PacketStatus::kNotIp;
  NEED_BYTES(header);
  const std::uint16_t protocol = walk.U16(2);
  const std::uint32_t id = walk.U32(4) >> 8;
  walk.EnterTunnel(Tunnel::kGeneve, id, true);
  walk.Skip(header);
  return walk.Next(Layer::kEtherType, protocol);
}

PacketStatus WalkGtp(Walk& walk) {
  NEED_BYTES(8);
  constexpr std::uint8_t kVersionOne = 0x30, kVersionMask = 0xf0, kOptional = 0x07,
                         kExtended = 0x04;
  constexpr std::uint8_t kUserData = 255;
  const std::uint8_t flags = walk.U8(0);
  if ((flags & kVersionMask) != kVersionOne || walk.U8(1) != kUserData) {
    return PacketStatus::kNotIp;
  }
  const std::uint32_t id = walk.U32(4);
  std::size_t header = 8;
  std::uint8_t extension = 0;
  if ((flags & kOptional) != 0) {
    NEED_BYTES(12);
    if ((flags & kExtended) != 0) extension = walk.U8(11);
    header = 12;
  }
  while (extension != 0) {
    NEED_BYTES(header + 1);
    const std::size_t length = walk.U8(header) * std::size_t{4};
    if (length == 0) return PacketStatus::kMalformed;
    NEED_BYTES(header + length);
    header += length;
    extension = walk.U8(header - 1);
  }
  walk.EnterTunnel(Tunnel::kGtp, id, true);
  walk.Skip(header);
  return walk.Next(Layer::kIp);
}

// RFC 4380 5.1.1: an authentication and an origin may stand before an IPv6 packet that fills the
// rest.
PacketStatus WalkTeredo(Walk& walk) {
  std::size_t header = 0;
  NEED_BYTES(4);
  if (walk.U16(0) == 1) header = 13 + std::size_t{walk.U8(2)} + walk.U8(3);
  NEED_BYTES(header + 2);
  if (walk.U16(header) == 0) header += 8;
  constexpr std::size_t kIpv6Header = 40;
  NEED_BYTES(header + kIpv6Header);
  const std::size_t inside = walk.wire - header;
  if ((walk.U8(header) >> 4) != 6 || walk.U16(header + 4) + kIpv6Header != inside) {
    return PacketStatus::kNotIp;
  }
  walk.EnterTunnel(Tunnel::kTeredo, 0, true);
  walk.Skip(header);
  return walk.Next(Layer::kIp);
}

PacketStatus WalkByPort(Walk& walk) {
  const std::uint16_t to = walk.out->destination_port;
  const std::uint16_t from = walk.out->source_port;
  if (to == kVxlanPort || to == kVxlanLinuxPort) return WalkVxlan(walk);
  if (to == kGenevePort) return WalkGeneve(walk);
  if (to == kGtpPort || from == kGtpPort) return WalkGtp(walk);
  return WalkTeredo(walk);
}

}  // namespace

bool SuggestsTunnel(std::uint16_t source_port, std::uint16_t destination_port) {
  switch (destination_port) {
    case kVxlanPort:
    case kVxlanLinuxPort:
    case kGenevePort:
    case kGtpPort:
    case kTeredoPort:
      return true;
    default:
      return source_port == kGtpPort || source_port == kTeredoPort;
  }
}

PacketStatus WalkUdpTunnel(Walk& walk) {
  const PacketStatus status = WalkByPort(walk);
  // Not begun: it is UDP like any other.
  if (status != PacketStatus::kOk) return walk.Next(Layer::kDone);
  return status;
}

PacketStatus WalkGre(Walk& walk) {
  EndAsPayload(walk);
  GreHeader header;
  const PacketStatus status = ReadGre(walk, header);
  if (status == PacketStatus::kTruncated) return status;
  if (status != PacketStatus::kOk) return walk.Next(Layer::kDone);
  walk.Skip(header.size);
  if (header.protocol == kErspan2 || header.protocol == kErspan3) {
    return WalkErspan(walk, header.protocol, header.numbered);
  }
  walk.EnterTunnel(Tunnel::kGre, header.key, false);
  if (header.protocol != kWccp) return walk.Next(Layer::kEtherType, header.protocol);
  NEED_BYTES(1);
  if ((walk.U8(0) >> 4) != 4) walk.Skip(4);  // version 2 redirects with a header of its own
  return walk.Next(Layer::kIp);
}

}  // namespace culprit
