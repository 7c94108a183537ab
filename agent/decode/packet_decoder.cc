// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/packet_decoder.h"

#include "agent/decode/packet_walk.h"

namespace culprit {
namespace {

PacketStatus Step(Walk& walk) {
  switch (walk.layer) {
    case Layer::kLink:
      return WalkLink(walk);
    case Layer::kEthernet:
      return WalkEthernet(walk);
    case Layer::kEtherType:
      return WalkEtherType(walk);
    case Layer::kLlc:
      return WalkLlc(walk);
    case Layer::kPpp:
      return WalkPpp(walk);
    case Layer::kMpls:
      return WalkMpls(walk);
    case Layer::kIp:
      return WalkIp(walk);
    case Layer::kTransport:
      return WalkTransport(walk);
    case Layer::kGre:
      return WalkGre(walk);
    case Layer::kUdpTunnel:
      return WalkUdpTunnel(walk);
    case Layer::kDone:
      break;
  }
  return PacketStatus::kOk;
}

PacketStatus Follow(Walk& walk) {
  for (int layers = 0; layers < kMaxPacketLayers; ++layers) {
    const PacketStatus status = Step(walk);
    if (status != PacketStatus::kOk || walk.layer == Layer::kDone) return status;
  }
  return PacketStatus::kTooDeep;
}

}  // namespace

void Walk::EnterTunnel(Tunnel kind, std::uint32_t id, bool by_port_only) {
  carrier = *out;
  guessed = by_port_only;
  Packet inner;
  inner.vlan = out->vlan;
  if (out->tunnel == Tunnel::kNone) {
    inner.tunnel = kind;
    inner.tunnel_id = id;
    inner.outer_source = out->source;
    inner.outer_destination = out->destination;
  } else {
    inner.tunnel = out->tunnel;
    inner.tunnel_id = out->tunnel_id;
    inner.outer_source = out->outer_source;
    inner.outer_destination = out->outer_destination;
  }
  *out = inner;
}

PacketStatus DecodePacket(const CapturedPacket& captured, Packet& out) {
  out = Packet{};
  Walk walk;
  walk.bytes = captured.bytes;
  walk.wire = std::max<std::size_t>(captured.wire_bytes, captured.bytes.size());
  walk.type = static_cast<std::uint32_t>(captured.link_type);
  walk.out = &out;
  const PacketStatus status = Follow(walk);
  if (status == PacketStatus::kOk || !walk.carrier) return status;
  const bool carries_none =
      status == PacketStatus::kNotIp || status == PacketStatus::kMalformed || walk.guessed;
  if (!carries_none) return status;
  out = *walk.carrier;
  return PacketStatus::kOk;
}

}  // namespace culprit
