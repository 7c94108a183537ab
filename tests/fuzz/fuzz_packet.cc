// SPDX-License-Identifier: Apache-2.0
// Any bytes as a packet: two bytes of link type, two of how much longer it was on the wire, then
// the packet.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/decode/packet_decoder.h"
#include "common/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace culprit;
  constexpr std::size_t kHeader = 4;
  if (size < kHeader) return 0;
  const char* begin = reinterpret_cast<const char*>(data);
  // A copy of the exact size, so that the sanitizer sees a read past the end.
  const std::string bytes(begin + kHeader, size - kHeader);
  CapturedPacket captured;
  captured.link_type = LoadLe<std::uint16_t>(begin);
  captured.wire_bytes = static_cast<std::uint32_t>(bytes.size()) + LoadLe<std::uint16_t>(begin + 2);
  captured.bytes = bytes;
  Packet packet;
  const PacketStatus status = DecodePacket(captured, packet);
  if ((status == PacketStatus::kUnknownLink) == LinkTypeKnown(captured.link_type)) std::abort();
  if (status != PacketStatus::kOk) return 0;
  const std::string_view payload = packet.payload;
  const bool inside =
      payload.empty() || (payload.data() >= bytes.data() &&
                          payload.data() + payload.size() <= bytes.data() + bytes.size());
  const bool lengths = payload.size() <= packet.payload_bytes &&
                       packet.payload_bytes <= packet.ip_bytes &&
                       packet.ip_bytes <= captured.wire_bytes;
  if (!inside || !lengths || (packet.ip_version != 4 && packet.ip_version != 6)) std::abort();
  return 0;
}
