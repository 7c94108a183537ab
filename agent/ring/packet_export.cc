// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/packet_export.h"

namespace culprit {

void PacketExport::Begin(const PcapngSection& section, std::string* out) {
  const std::size_t before = out->size();
  AppendPcapngSection(section, out);
  bytes_ += out->size() - before;
}

bool PacketExport::Add(const StoredPacket& packet, std::string* out) {
  if (cut_off_) return false;
  blocks_.clear();
  const auto number = static_cast<std::uint32_t>(interfaces_.size());
  const auto [interface, fresh] =
      interfaces_.try_emplace({std::string(packet.interface), packet.link_type}, number);
  if (fresh) {
    AppendPcapngInterface({interface->first.first, packet.link_type, 0}, &blocks_);
  }
  const bool defines = packet.process != nullptr && !processes_.contains(packet.process->id);
  if (defines) AppendPcapngProcess(*packet.process, &blocks_);
  PcapngPacket block = packet.packet;
  block.interface = interface->second;
  AppendPcapngPacket(block, &blocks_);
  if (max_bytes_ != 0 && bytes_ + blocks_.size() > max_bytes_) {
    cut_off_ = true;
    return false;
  }
  if (defines) {
    if (processes_.size() >= kMaxExportProcesses) processes_.clear();
    processes_.insert(packet.process->id);
  }
  out->append(blocks_);
  bytes_ += blocks_.size();
  ++packets_;
  wire_bytes_ += block.wire_bytes;
  kept_bytes_ += block.bytes.size();
  return true;
}

}  // namespace culprit
