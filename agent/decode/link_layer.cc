// SPDX-License-Identifier: Apache-2.0
// Link headers of agent/decode/packet_decoder: see packet_walk.h.
#include <string>

#include "agent/decode/packet_decoder.h"
#include "agent/decode/packet_walk.h"

namespace culprit {
namespace {

constexpr std::uint32_t kIpv4 = 0x0800, kIpv6 = 0x86dd;
constexpr std::size_t kMaxEtherLength = 1500;  // a larger number is a type

PacketStatus WalkFixed(Walk& walk, std::size_t header, std::size_t type_at) {
  NEED_BYTES(header);
  const std::uint16_t type = walk.U16(type_at);
  walk.Skip(header);
  constexpr std::uint16_t kLlcFrame = 4;  // ETH_P_802_2 of Linux
  return type == kLlcFrame ? walk.Next(Layer::kLlc) : walk.Next(Layer::kEtherType, type);
}

// BSD loopback: an address family in the byte order of whoever captured.
PacketStatus WalkNull(Walk& walk) {
  NEED_BYTES(4);
  const std::uint32_t big = walk.U32(0);
  const std::uint32_t family = big > 0xffff ? __builtin_bswap32(big) : big;
  walk.Skip(4);
  switch (family) {
    case 2:   // AF_INET everywhere
    case 10:  // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin
    case 24:
    case 28:
    case 30:
      return walk.Next(Layer::kIp);
    default:
      return PacketStatus::kNotIp;
  }
}

PacketStatus WalkWifi(Walk& walk) {
  constexpr std::uint8_t kTypeMask = 0x0c, kData = 0x08, kQos = 0x80, kNoData = 0x40;
  constexpr std::uint8_t kBothDs = 0x03, kProtected = 0x40, kOrder = 0x80, kAggregate = 0x80;
  NEED_BYTES(2);
  const std::uint8_t kind = walk.U8(0);
  const std::uint8_t flags = walk.U8(1);
  if ((kind & kTypeMask) != kData || (kind & kNoData) != 0 || (flags & kProtected) != 0) {
    return PacketStatus::kNotIp;
  }
  std::size_t header = 24;
  if ((flags & kBothDs) == kBothDs) header += 6;
  if ((kind & kQos) != 0) {
    NEED_BYTES(header + 2);
    if ((walk.U8(header) & kAggregate) != 0) return PacketStatus::kNotIp;  // A-MSDU
    header += (flags & kOrder) != 0 ? 6 : 2;
  }
  NEED_BYTES(header);
  walk.Skip(header);
  return walk.Next(Layer::kLlc);
}

// Radiotap: a little-endian header whose flags may say that the frame's header was padded.
PacketStatus WalkRadiotap(Walk& walk) {
  NEED_BYTES(8);
  const std::size_t header = LoadLe<std::uint16_t>(walk.bytes.data() + 2);
  if (walk.U8(0) != 0 || header < 8) return PacketStatus::kMalformed;
  NEED_BYTES(header);
  const auto present = LoadLe<std::uint32_t>(walk.bytes.data() + 4);
  std::size_t at = 8;
  for (std::uint32_t more = present; (more >> 31) != 0 && at + 4 <= header; at += 4) {
    more = LoadLe<std::uint32_t>(walk.bytes.data() + at);
  }
  if ((present & 1) != 0) at = (at + 7) / 8 * 8 + 8;  // the timer
  const bool has_flags = (present & 2) != 0 && at < header;
  constexpr std::uint8_t kDataPad = 0x20;
  const bool padded = has_flags && (walk.U8(at) & kDataPad) != 0;
  walk.Skip(header);
  const std::size_t before = walk.wire;
  if (const PacketStatus status = WalkWifi(walk); status != PacketStatus::kOk) return status;
  if (padded) walk.Skip((4 - (before - walk.wire) % 4) % 4);
  return PacketStatus::kOk;
}

// Prism or, by its first word, AVS.
PacketStatus WalkPrism(Walk& walk) {
  NEED_BYTES(8);
  constexpr std::uint32_t kAvs = 0x80211000, kAvsMask = 0xfffff000;
  const bool avs = (walk.U32(0) & kAvsMask) == kAvs;
  const std::size_t header = avs ? walk.U32(4) : LoadLe<std::uint32_t>(walk.bytes.data() + 4);
  if (header < 8) return PacketStatus::kMalformed;
  NEED_BYTES(header);
  walk.Skip(header);
  return WalkWifi(walk);
}

// Netlink attributes in host byte order; one of them is the packet.
PacketStatus WalkNflog(Walk& walk) {
  NEED_BYTES(4);
  const std::uint8_t family = walk.U8(0);
  if (family != 2 && family != 10) return PacketStatus::kNotIp;
  walk.Skip(4);
  while (walk.wire > 0) {
    NEED_BYTES(4);
    constexpr std::uint16_t kPayload = 9;
    const std::size_t length = LoadLe<std::uint16_t>(walk.bytes.data());
    const auto type = LoadLe<std::uint16_t>(walk.bytes.data() + 2);
    if (length < 4) return PacketStatus::kMalformed;
    if (type == kPayload) {
      walk.Cut(length);
      walk.Skip(4);
      return walk.Next(Layer::kIp);
    }
    walk.Skip((length + 3) / 4 * 4);
  }
  return PacketStatus::kNotIp;
}

PacketStatus WalkPppoe(Walk& walk) {
  NEED_BYTES(6);
  if (walk.U8(0) != 0x11) return PacketStatus::kMalformed;  // version and type 1
  if (walk.U8(1) != 0) return PacketStatus::kNotIp;         // discovery
  walk.Skip(6);
  return walk.Next(Layer::kPpp);
}

// PPP in frames like HDLC, or Cisco's HDLC, which has an EtherType.
PacketStatus WalkHdlc(Walk& walk) {
  NEED_BYTES(4);
  const std::uint8_t address = walk.U8(0);
  return address == 0x0f || address == 0x8f ? WalkFixed(walk, 4, 2) : WalkPpp(walk);
}

PacketStatus WalkVlan(Walk& walk) {
  NEED_BYTES(4);
  Packet& out = *walk.out;
  const std::uint16_t id = walk.U16(0) & 0x0fff;
  const std::uint16_t type = walk.U16(2);
  if (out.vlan == 0 && out.tunnel == Tunnel::kNone) out.vlan = id;
  walk.Skip(4);
  return type <= kMaxEtherLength ? walk.Next(Layer::kLlc) : walk.Next(Layer::kEtherType, type);
}

struct LinkType {
  int number;
  const char* name;
  PacketStatus (*walk)(Walk&);
};

PacketStatus WalkRawIp(Walk& walk) { return walk.Next(Layer::kIp); }
PacketStatus WalkSll(Walk& walk) { return WalkFixed(walk, 16, 14); }
PacketStatus WalkSll2(Walk& walk) { return WalkFixed(walk, 20, 0); }

constexpr LinkType kLinkTypes[] = {
    {0, "NULL", WalkNull},
    {1, "EN10MB", WalkEthernet},
    {9, "PPP", WalkPpp},
    {12, "RAW", WalkRawIp},  // what systems call 101 in files of their own
    {14, "RAW", WalkRawIp},
    {50, "PPP_HDLC", WalkHdlc},
    {51, "PPP_ETHER", WalkPppoe},
    {101, "RAW", WalkRawIp},
    {104, "C_HDLC", WalkHdlc},
    {105, "IEEE802_11", WalkWifi},
    {108, "LOOP", WalkNull},
    {113, "LINUX_SLL", WalkSll},
    {119, "IEEE802_11_PRISM", WalkPrism},
    {127, "IEEE802_11_RADIOTAP", WalkRadiotap},
    {163, "IEEE802_11_AVS", WalkPrism},
    {228, "IPV4", WalkRawIp},
    {229, "IPV6", WalkRawIp},
    {239, "NFLOG", WalkNflog},
    {276, "LINUX_SLL2", WalkSll2},
};

const LinkType* FindLinkType(int number) {
  for (const LinkType& type : kLinkTypes) {
    if (type.number == number) return &type;
  }
  return nullptr;
}

}  // namespace

PacketStatus WalkLink(Walk& walk) {
  const LinkType* type = FindLinkType(static_cast<int>(walk.type));
  return type == nullptr ? PacketStatus::kUnknownLink : type->walk(walk);
}

PacketStatus WalkEthernet(Walk& walk) {
  NEED_BYTES(14);
  const std::uint16_t type = walk.U16(12);
  walk.Skip(14);
  if (type > kMaxEtherLength) return walk.Next(Layer::kEtherType, type);
  walk.Cut(type);
  return walk.Next(Layer::kLlc);
}

PacketStatus WalkEtherType(Walk& walk) {
  switch (walk.type) {
    case kIpv4:
    case kIpv6: {
      NEED_BYTES(1);
      const bool agrees = (walk.U8(0) >> 4) == (walk.type == kIpv4 ? 4 : 6);
      return agrees ? walk.Next(Layer::kIp) : PacketStatus::kMalformed;
    }
    case 0x8100:  // 802.1Q
    case 0x88a8:  // 802.1ad
    case 0x9100:
    case 0x9200:
      return WalkVlan(walk);
    case 0x8847:
    case 0x8848:
      return walk.Next(Layer::kMpls);
    case 0x8864:
      return WalkPppoe(walk);
    case 0x6558:
      return walk.Next(Layer::kEthernet);
    case 0x880b:
      return walk.Next(Layer::kPpp);
    default:
      return PacketStatus::kNotIp;
  }
}

PacketStatus WalkLlc(Walk& walk) {
  NEED_BYTES(3);
  const std::uint16_t points = walk.U16(0);
  constexpr std::uint16_t kSnap = 0xaaaa, kIp = 0x0606;
  if (points == kIp) {
    walk.Skip(3);
    return walk.Next(Layer::kIp);
  }
  if (points != kSnap) return PacketStatus::kNotIp;
  NEED_BYTES(8);
  const std::uint32_t organisation = walk.U32(2) & 0x00ffffff;
  if (organisation != 0 && organisation != 0xf8) return PacketStatus::kNotIp;  // RFC 1042, 802.1H
  return WalkFixed(walk, 8, 6);
}

PacketStatus WalkPpp(Walk& walk) {
  NEED_BYTES(1);
  if (walk.U8(0) == 0xff) {  // address and control
    NEED_BYTES(2);
    walk.Skip(2);
    NEED_BYTES(1);
  }
  std::uint16_t protocol = walk.U8(0);
  std::size_t header = 1;
  if ((protocol & 1) == 0) {  // not compressed to its low byte
    NEED_BYTES(2);
    protocol = walk.U16(0);
    header = 2;
  }
  walk.Skip(header);
  switch (protocol) {
    case 0x21:
      return walk.Next(Layer::kEtherType, kIpv4);
    case 0x57:
      return walk.Next(Layer::kEtherType, kIpv6);
    case 0x281:
      return walk.Next(Layer::kMpls);
    default:
      return PacketStatus::kNotIp;
  }
}

PacketStatus WalkMpls(Walk& walk) {
  constexpr int kMaxLabels = 16;
  bool bottom = false;
  for (int labels = 0; !bottom; ++labels) {
    if (labels == kMaxLabels) return PacketStatus::kTooDeep;
    NEED_BYTES(4);
    bottom = (walk.U8(2) & 1) != 0;
    walk.Skip(4);
  }
  NEED_BYTES(1);
  if (walk.out->tunnel == Tunnel::kNone) walk.out->tunnel = Tunnel::kMpls;
  const int nibble = walk.U8(0) >> 4;
  if (nibble == 4 || nibble == 6) return walk.Next(Layer::kIp);
  if (nibble == 0) walk.Skip(4);  // control word of a pseudowire (RFC 4385)
  return walk.Next(Layer::kEthernet);
}

std::string LinkTypeName(int link_type) {
  const LinkType* type = FindLinkType(link_type);
  return type == nullptr ? "link type " + std::to_string(link_type) : type->name;
}

bool LinkTypeKnown(int link_type) { return FindLinkType(link_type) != nullptr; }

}  // namespace culprit
