// SPDX-License-Identifier: Apache-2.0
// IPv4, IPv6 with its extension headers, and transports, of agent/decode/packet_decoder: see
// packet_walk.h.
#include <netinet/in.h>

#include "agent/decode/packet_decoder.h"
#include "agent/decode/packet_walk.h"

namespace culprit {
namespace {

constexpr std::uint8_t kUdpLite = 136, kMplsInIp = 137;
constexpr std::size_t kIpv4Header = 20, kIpv6Header = 40;

IpAddress V4At(const Walk& walk, std::size_t at) {
  return IpAddress::FromV4Bytes({walk.U8(at), walk.U8(at + 1), walk.U8(at + 2), walk.U8(at + 3)});
}

IpAddress V6At(const Walk& walk, std::size_t at) {
  return IpAddress::FromBytes(walk.bytes.substr(at, 16)).value_or(IpAddress());
}

// Beginning of what a header whose next may be an extension carries; walk.type is its protocol.
PacketStatus ToTransport(Walk& walk) {
  walk.out->protocol = static_cast<std::uint8_t>(walk.type);
  return walk.Next(Layer::kTransport, walk.type);
}

void NoteFragment(Packet& out, std::uint16_t offset, bool more) {
  out.fragment = offset != 0;
  out.first_fragment = offset == 0 && more;
}

PacketStatus WalkFragmentHeader(Walk& walk) {
  NEED_BYTES(8);
  const std::uint16_t word = walk.U16(2);
  NoteFragment(*walk.out, word >> 3, (word & 1) != 0);
  walk.type = walk.U8(0);
  walk.Skip(8);
  return PacketStatus::kOk;
}

// One whose second byte is its length, in `unit` bytes beyond `base`.
PacketStatus WalkExtension(Walk& walk, std::size_t unit, std::size_t base) {
  NEED_BYTES(2);
  const std::size_t length = walk.U8(1) * unit + base;
  const std::uint8_t next = walk.U8(0);
  NEED_BYTES(length);
  walk.type = next;
  walk.Skip(length);
  return PacketStatus::kOk;
}

// Follows extension headers from walk.type on. Behind those of a later fragment nothing can be
// told.
PacketStatus WalkExtensions(Walk& walk, bool v6) {
  for (int i = 0; i < kMaxExtensionHeaders; ++i) {
    PacketStatus status = PacketStatus::kOk;
    if (walk.out->fragment) return ToTransport(walk);
    if (walk.type == IPPROTO_AH) {
      status = WalkExtension(walk, 4, 8);
    } else if (v6 && walk.type == IPPROTO_FRAGMENT) {
      status = WalkFragmentHeader(walk);
    } else if (v6 && (walk.type == IPPROTO_HOPOPTS || walk.type == IPPROTO_ROUTING ||
                      walk.type == IPPROTO_DSTOPTS)) {
      status = WalkExtension(walk, 8, 8);
    } else {
      return ToTransport(walk);
    }
    if (status != PacketStatus::kOk) return status;
  }
  return PacketStatus::kTooDeep;
}

PacketStatus WalkIpv4(Walk& walk) {
  NEED_BYTES(kIpv4Header);
  Packet& out = *walk.out;
  const std::size_t header = (walk.U8(0) & 0x0fU) * 4;
  std::size_t total = walk.U16(2);
  if (total == 0) total = walk.wire;  // the card will cut it into segments
  if (header < kIpv4Header || total < header) return PacketStatus::kMalformed;
  const std::uint16_t word = walk.U16(6);
  walk.Cut(total);
  out.ip_version = 4;
  out.ip_bytes = static_cast<std::uint32_t>(walk.wire);
  out.source = V4At(walk, 12);
  out.destination = V4At(walk, 16);
  NoteFragment(out, word & 0x1fff, (word & 0x2000) != 0);
  const std::uint8_t protocol = walk.U8(9);
  NEED_BYTES(header);
  walk.Skip(header);
  walk.type = protocol;
  return WalkExtensions(walk, false);
}

PacketStatus WalkIpv6(Walk& walk) {
  NEED_BYTES(kIpv6Header);
  Packet& out = *walk.out;
  const std::size_t length = walk.U16(4);
  const std::uint8_t next = walk.U8(6);
  // Zero: a jumbogram, or what the card will cut into segments.
  if (length != 0 || next == IPPROTO_NONE) walk.Cut(kIpv6Header + length);
  out.ip_version = 6;
  out.ip_bytes = static_cast<std::uint32_t>(walk.wire);
  out.source = V6At(walk, 8);
  out.destination = V6At(walk, 24);
  walk.Skip(kIpv6Header);
  walk.type = next;
  return WalkExtensions(walk, true);
}

// What is left is payload.
PacketStatus Finish(Walk& walk) {
  walk.out->payload_bytes = static_cast<std::uint32_t>(walk.wire);
  walk.out->payload = walk.bytes;
  return walk.Next(Layer::kDone);
}

// A transport header of which only the first `needed` bytes are indispensable. Of a first fragment
// the rest may be in the next.
PacketStatus NeedTransport(const Walk& walk, std::size_t header, std::size_t needed) {
  if (walk.wire < header && !walk.out->first_fragment) return PacketStatus::kMalformed;
  return walk.Need(needed);
}

PacketStatus ReadPorts(Walk& walk, std::size_t header) {
  if (const PacketStatus status = NeedTransport(walk, header, 4); status != PacketStatus::kOk) {
    return status;
  }
  walk.out->source_port = walk.U16(0);
  walk.out->destination_port = walk.U16(2);
  return PacketStatus::kOk;
}

PacketStatus WalkTcp(Walk& walk) {
  constexpr std::size_t kHeader = 20;
  if (const PacketStatus status = ReadPorts(walk, kHeader); status != PacketStatus::kOk) {
    return status;
  }
  Packet& out = *walk.out;
  std::size_t header = kHeader;
  if (walk.bytes.size() >= 8) out.tcp_seq = walk.U32(4);
  if (walk.bytes.size() >= 12) out.tcp_ack = walk.U32(8);
  if (walk.bytes.size() >= 14) {
    header = (walk.U8(12) >> 4) * std::size_t{4};
    out.tcp_flags = walk.U8(13);
    if (header < kHeader || (header > walk.wire && !out.first_fragment)) {
      return PacketStatus::kMalformed;
    }
  }
  if (walk.bytes.size() >= 16) out.tcp_window = walk.U16(14);
  walk.Skip(header);
  return Finish(walk);
}

PacketStatus WalkUdp(Walk& walk, bool lite) {
  constexpr std::size_t kHeader = 8;
  if (const PacketStatus status = ReadPorts(walk, kHeader); status != PacketStatus::kOk) {
    return status;
  }
  // UDP-Lite has its checksum's coverage in place of a length; zero is what the card will cut.
  const std::size_t length = walk.bytes.size() >= 6 && !lite ? walk.U16(4) : 0;
  if (length != 0 && length < kHeader) return PacketStatus::kMalformed;
  if (length != 0) walk.Cut(length);
  walk.Skip(kHeader);
  static_cast<void>(Finish(walk));
  const Packet& out = *walk.out;
  if (lite || !SuggestsTunnel(out.source_port, out.destination_port)) return PacketStatus::kOk;
  return walk.Next(Layer::kUdpTunnel);
}

PacketStatus WalkIcmp(Walk& walk) {
  constexpr std::size_t kHeader = 8, kTypeAndCode = 2;
  if (const PacketStatus status = NeedTransport(walk, 4, kTypeAndCode);
      status != PacketStatus::kOk) {
    return status;
  }
  walk.out->icmp_type = walk.U8(0);
  walk.out->icmp_code = walk.U8(1);
  walk.Skip(kHeader);
  return Finish(walk);
}

PacketStatus WalkIpInIp(Walk& walk) {
  NEED_BYTES(1);
  const int version = walk.U8(0) >> 4;
  if (version != (walk.out->protocol == IPPROTO_IPIP ? 4 : 6)) return Finish(walk);
  static_cast<void>(Finish(walk));
  walk.EnterTunnel(Tunnel::kIpIp, 0, false);
  return walk.Next(Layer::kIp);
}

}  // namespace

PacketStatus WalkIp(Walk& walk) {
  NEED_BYTES(1);
  switch (walk.U8(0) >> 4) {
    case 4:
      return WalkIpv4(walk);
    case 6:
      return WalkIpv6(walk);
    default:
      return PacketStatus::kMalformed;
  }
}

PacketStatus WalkTransport(Walk& walk) {
  if (walk.out->fragment) return Finish(walk);
  switch (walk.out->protocol) {
    case IPPROTO_TCP:
      return WalkTcp(walk);
    case IPPROTO_UDP:
      return WalkUdp(walk, false);
    case kUdpLite:
      return WalkUdp(walk, true);
    case IPPROTO_SCTP:
      if (const PacketStatus status = ReadPorts(walk, 12); status != PacketStatus::kOk) {
        return status;
      }
      walk.Skip(12);
      return Finish(walk);
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return WalkIcmp(walk);
    case IPPROTO_IPIP:
    case IPPROTO_IPV6:
      return WalkIpInIp(walk);
    case IPPROTO_GRE:
      return walk.Next(Layer::kGre);
    case kMplsInIp:
      static_cast<void>(Finish(walk));
      walk.EnterTunnel(Tunnel::kMpls, 0, false);
      return walk.Next(Layer::kMpls);
    default:
      return Finish(walk);
  }
}

}  // namespace culprit
