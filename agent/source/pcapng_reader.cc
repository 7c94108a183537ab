// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "agent/source/capture_readers.h"
#include "common/bytes.h"

namespace culprit {

namespace {

constexpr std::size_t kLeastBlockBytes = 12;

}  // namespace

bool PcapngReader::Recognizes(std::string_view magic) {
  return magic.size() >= 4 && LoadLe<std::uint32_t>(magic.data()) == kPcapngSectionMagic;
}

void PcapngReader::SkipDamage(std::string reason) {
  const std::uint64_t from = window_.offset();
  std::string_view ahead = window_.Ahead(kLeastBlockBytes);
  std::size_t start = 1;
  while (!ahead.empty()) {
    bool more = false;
    const std::size_t at = parser_.Resync(ahead, start, window_.ended(), &more);
    window_.Skip(at);
    if (at < ahead.size() && !more) break;
    ahead = window_.Ahead(more ? kMaxPcapngResyncBytes : 1);
    start = 0;
  }
  NoteDamage(from, window_.offset() - from, std::move(reason));
}

bool PcapngReader::NextBlock() {
  std::size_t wanted = kLeastBlockBytes;
  while (true) {
    const std::string_view ahead = window_.Ahead(wanted);
    if (ahead.empty()) return false;
    switch (parser_.Next(ahead, &block_)) {
      case PcapngFind::kBlock:
        return true;
      case PcapngFind::kDamaged:
        SkipDamage(block_.reason);
        wanted = kLeastBlockBytes;
        break;
      case PcapngFind::kMore:
        wanted = std::max<std::size_t>(kLeastBlockBytes, block_.total_bytes);
        if (!window_.ended()) break;
        // Either the file is cut off here or the length is wrong and blocks follow.
        SkipDamage("cut off within a block");
        wanted = kLeastBlockBytes;
        break;
    }
  }
}

void PcapngReader::TakeInterfaces() {
  const std::vector<PcapngInterface>& interfaces = parser_.interfaces();
  for (std::size_t i = stats_.interfaces.size() - first_interface_;
       i < interfaces.size() && stats_.interfaces.size() < kMaxCaptureInterfaces; ++i) {
    CaptureInterface added;
    added.name = interfaces[i].name;
    added.link_type = interfaces[i].link_type;
    added.snaplen = interfaces[i].snaplen;
    stats_.interfaces.push_back(std::move(added));
  }
}

void PcapngReader::TakeStatistics() {
  const std::size_t index = first_interface_ + block_.statistics.interface;
  if (index >= stats_.interfaces.size()) return;
  // Counters of the whole capture so far: what comes later replaces what came before.
  CaptureInterface& interface = stats_.interfaces[index];
  const auto replace = [](std::optional<std::uint64_t>& old, std::optional<std::uint64_t> now) {
    if (now) old = now;
  };
  replace(interface.received, block_.statistics.received);
  replace(interface.interface_drops, block_.statistics.interface_drops);
  replace(interface.os_drops, block_.statistics.os_drops);
}

bool PcapngReader::TakeBlock(CapturedPacket& out) {
  switch (block_.kind) {
    case PcapngBlockKind::kSection:
      ++stats_.sections;
      first_interface_ = stats_.interfaces.size();
      return false;
    case PcapngBlockKind::kInterface:
      TakeInterfaces();
      return false;
    case PcapngBlockKind::kStatistics:
      TakeStatistics();
      return false;
    case PcapngBlockKind::kProcess:
      if (on_process_) on_process_(block_.process);
      return false;
    case PcapngBlockKind::kBroken:
      NoteDamage(window_.offset(), block_.total_bytes, block_.reason);
      TakeInterfaces();  // a broken one has a number as well
      return false;
    case PcapngBlockKind::kSkipped:
      return false;
    case PcapngBlockKind::kPacket:
      break;
  }
  const PcapngPacket& packet = block_.packet;
  const std::size_t index = first_interface_ + packet.interface;
  if (index >= stats_.interfaces.size()) {
    NoteDamage(window_.offset(), block_.total_bytes, "a packet of an interface beyond the limit");
    return false;
  }
  if (packet.timed) last_wall_ns_ = packet.wall_ns;
  if (!packet.timed) ++stats_.untimed;
  out = {};
  out.wall_ns = last_wall_ns_;
  out.interface = static_cast<std::uint32_t>(index);
  out.wire_bytes = packet.wire_bytes;
  out.bytes = packet.bytes;
  out.process = packet.process.value();
  out.flow = packet.flow.value();
  stats_.interfaces[index].packet_drops += packet.dropped.value_or(0);
  return true;
}

Result<bool> PcapngReader::Next(CapturedPacket& out) {
  window_.Skip(std::exchange(taken_, 0));
  while (NextBlock()) {
    if (TakeBlock(out)) {
      taken_ = block_.total_bytes;
      Deliver(out);
      return true;
    }
    window_.Skip(block_.total_bytes);
  }
  return AtEnd();
}

}  // namespace culprit
