// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/segment_file.h"

#include <unistd.h>

#include <algorithm>

#include "common/file.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::size_t kReadBytes = 256U << 10;
// Longer than any block that is written here; a longer one is damage.
constexpr std::size_t kMaxBlockBytes = 1U << 20;
constexpr std::size_t kDigits = 8;

std::string_view Suffix(SegmentFileKind kind) {
  switch (kind) {
    case SegmentFileKind::kOpen:
      return ".open";
    case SegmentFileKind::kClosed:
      return ".pcapng";
    case SegmentFileKind::kIndex:
      return ".idx";
  }
  return "";
}

}  // namespace

std::string FormatSegmentName(std::uint64_t number, SegmentFileKind kind) {
  std::string digits = std::to_string(number);
  if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
  return digits.append(Suffix(kind));
}

std::optional<SegmentFileName> ParseSegmentName(std::string_view name) {
  for (const auto kind :
       {SegmentFileKind::kOpen, SegmentFileKind::kClosed, SegmentFileKind::kIndex}) {
    const std::string_view suffix = Suffix(kind);
    if (name.size() < kDigits + suffix.size() || !name.ends_with(suffix)) continue;
    const auto number = AsNumber<std::uint64_t>(name.substr(0, name.size() - suffix.size()));
    if (number) return SegmentFileName{*number, kind};
  }
  return std::nullopt;
}

Result<SegmentListing> ListSegments(const std::string& directory) {
  TRY(const std::vector<std::string> names, ListDirectory(directory));
  SegmentListing listing;
  for (const std::string& name : names) {
    const auto parsed = ParseSegmentName(name);
    if (!parsed) continue;
    auto& list = parsed->kind == SegmentFileKind::kOpen     ? listing.open
                 : parsed->kind == SegmentFileKind::kClosed ? listing.closed
                                                            : listing.indexes;
    list.push_back(parsed->number);
  }
  for (auto* list : {&listing.open, &listing.closed, &listing.indexes}) {
    std::sort(list->begin(), list->end());
  }
  return listing;
}

Result<PacketSegmentReader> PacketSegmentReader::Open(const std::string& path) {
  TRY(UniqueFd fd, OpenReadOnly(path));
  return PacketSegmentReader(std::move(fd));
}

// False: the file has no more.
Result<bool> PacketSegmentReader::Fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  const std::size_t had = buffer_.size();
  buffer_.resize(had + kReadBytes);
  for (;;) {
    const ssize_t n = read(fd_.get(), buffer_.data() + had, kReadBytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read segment");
    buffer_.resize(had + static_cast<std::size_t>(n));
    return n > 0;
  }
}

Result<bool> PacketSegmentReader::Next(PcapngBlock* block) {
  for (;;) {
    switch (parser_.Next(std::string_view(buffer_).substr(at_), block)) {
      case PcapngFind::kDamaged:
        return false;
      case PcapngFind::kMore: {
        if (buffer_.size() - at_ > kMaxBlockBytes) return false;
        TRY(const bool more, Fill());
        if (!more) return false;
        break;
      }
      case PcapngFind::kBlock:
        at_ += block->total_bytes;
        whole_bytes_ += block->total_bytes;
        if (block->kind == PcapngBlockKind::kPacket ||
            block->kind == PcapngBlockKind::kStatistics ||
            block->kind == PcapngBlockKind::kProcess) {
          return true;
        }
        break;
    }
  }
}

Result<ScannedSegment> ScanSegment(const std::string& path) {
  TRY(PacketSegmentReader reader, PacketSegmentReader::Open(path));
  ScannedSegment scanned;
  scanned.index.AddUnknownAddress();
  PcapngBlock block;
  for (;;) {
    TRY(const bool more, reader.Next(&block));
    if (!more) break;
    if (block.kind == PcapngBlockKind::kPacket) {
      scanned.index.AddPacket(block.packet.wall_ns, block.packet.flow, block.packet.process);
    }
  }
  for (const PcapngInterface& interface : reader.interfaces()) {
    scanned.index.AddInterface(interface.name);
  }
  scanned.whole_bytes = reader.whole_bytes();
  return scanned;
}

}  // namespace culprit
