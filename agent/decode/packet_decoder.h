// SPDX-License-Identifier: Apache-2.0
// CapturedPacket -> Packet: the innermost IP packet, behind link headers, tags and tunnels, and its
// transport header. Total on any bytes. Allocates nothing. Stage: decode. Pure. Thread: any.
#ifndef CULPRIT_AGENT_DECODE_PACKET_DECODER_H_
#define CULPRIT_AGENT_DECODE_PACKET_DECODER_H_

#include <string>

#include "agent/model/packet.h"

namespace culprit {

// Headers that are followed in one packet, of all kinds together, before it is kTooDeep.
inline constexpr int kMaxPacketLayers = 24;
// Extension headers of one IP packet, likewise.
inline constexpr int kMaxExtensionHeaders = 12;

// `out` is whole for kOk only. Where what a tunnel carries is no IP packet (or, behind a UDP port
// that only suggests a tunnel, does not check out), the packet that carries it is the answer.
PacketStatus DecodePacket(const CapturedPacket& captured, Packet& out);

// "EN10MB", as tcpdump.org/linktypes.html has it; "link type 147" for one that is not understood.
std::string LinkTypeName(int link_type);
bool LinkTypeKnown(int link_type);

}  // namespace culprit

#endif  // CULPRIT_AGENT_DECODE_PACKET_DECODER_H_
