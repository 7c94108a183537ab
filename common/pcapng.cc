// SPDX-License-Identifier: Apache-2.0
#include "common/pcapng.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include "common/bytes.h"
#include "common/pcapng_format.h"

namespace culprit {
namespace {

using namespace pcapng;  // NOLINT(google-build-using-namespace): the format's own numbers

constexpr std::size_t kHeadBytes = 8;    // type, length
constexpr std::size_t kFrameBytes = 12;  // and the length again at the end
constexpr std::size_t kSectionBodyBytes = 16;
constexpr std::size_t kInterfaceBodyBytes = 8;
constexpr std::size_t kPacketBodyBytes = 20;  // of an enhanced and of an obsolete packet
constexpr std::size_t kStatisticsBodyBytes = 12;
constexpr std::uint32_t kNsPerSecond = 1'000'000'000;

constexpr std::array<std::uint64_t, 20> kPowersOfTen = [] {
  std::array<std::uint64_t, 20> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

template <class T>
T Load(const char* at, bool big_endian) {
  const auto value = LoadLe<T>(at);
  if (!big_endian) return value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

void Break(const char* reason, PcapngBlock* block) {
  block->kind = PcapngBlockKind::kBroken;
  block->reason = reason;
}

// The byte order that a section header says, if it says one.
std::optional<bool> SectionIsBigEndian(const char* magic_at) {
  const auto magic = LoadLe<std::uint32_t>(magic_at);
  if (magic == kByteOrderMagic) return false;
  if (magic == __builtin_bswap32(kByteOrderMagic)) return true;
  return std::nullopt;
}

// Without the texts, whose buffers stay with the block.
void ResetBlock(PcapngBlock* block) {
  block->kind = PcapngBlockKind::kSkipped;
  block->total_bytes = 0;
  block->reason = "";
}

// Fields of a process block, which are little-endian in every section.
bool ReadProcess(std::string_view bytes, PcapngProcess* process) {
  *process = {};
  const auto number = [](std::string_view value, auto zero) {
    return value.size() == sizeof(zero) ? LoadLe<decltype(zero)>(value.data()) : zero;
  };
  constexpr std::uint32_t k32 = 0;
  constexpr std::uint64_t k64 = 0;
  for (std::size_t n = 0; bytes.size() >= 4 && n < kMaxPcapngOptions; ++n) {
    const auto type = LoadLe<std::uint16_t>(bytes.data());
    const std::size_t length = LoadLe<std::uint16_t>(bytes.data() + 2);
    bytes.remove_prefix(4);
    if (type == kEndOfOptions || length > bytes.size()) break;
    const std::string_view value = bytes.substr(0, length);
    bytes.remove_prefix(std::min(bytes.size(), length + Padding(length)));
    switch (type) {
      case kProcessId:
        process->id = ProcessId(number(value, k64));
        break;
      case kProcessTgid:
        process->tgid = Tgid(number(value, k32));
        break;
      case kProcessStart:
        process->start = BootTimeFromNs(number(value, k64));
        break;
      case kProcessExecId:
        process->exec_id = number(value, k64);
        break;
      case kProcessUid:
        process->uid = Uid(number(value, k32));
        break;
      case kProcessExe:
        process->exe = value;
        break;
      case kProcessArguments:
        process->arguments = value;
        break;
      case kProcessParent:
        process->parent = ProcessId(number(value, k64));
        break;
      default:
        break;
    }
  }
  return process->id != ProcessId{};
}

}  // namespace

std::uint16_t PcapngParser::U16(const char* at) const {
  return Load<std::uint16_t>(at, big_endian_);
}
std::uint32_t PcapngParser::U32(const char* at) const {
  return Load<std::uint32_t>(at, big_endian_);
}
std::uint64_t PcapngParser::U64(const char* at) const {
  return Load<std::uint64_t>(at, big_endian_);
}
std::uint64_t PcapngParser::Ticks(const char* at) const {
  return (static_cast<std::uint64_t>(U32(at)) << 32) | U32(at + 4);
}

std::int64_t PcapngParser::Clock::ToWallNs(std::uint64_t ticks) const {
  __extension__ using Wide = __int128;
  Wide ns = ticks;
  if (binary) {
    ns = ns * kNsPerSecond >> std::min<int>(exponent, 127);
  } else if (exponent <= 9) {
    ns *= kPowersOfTen[9U - exponent];
  } else {
    const std::size_t power = exponent - 9U;
    ns = power < kPowersOfTen.size() ? static_cast<Wide>(ticks / kPowersOfTen[power]) : 0;
  }
  ns += static_cast<Wide>(offset_s) * kNsPerSecond;
  constexpr Wide kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr Wide kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(ns, kLeast, kMost));
}

template <class F>
void PcapngParser::ForEachOption(std::string_view bytes, F&& take) const {
  for (std::size_t n = 0; bytes.size() >= 4 && n < kMaxPcapngOptions; ++n) {
    const std::uint16_t code = U16(bytes.data());
    const std::size_t length = U16(bytes.data() + 2);
    bytes.remove_prefix(4);
    if (code == kEndOfOptions || length > bytes.size()) return;
    take(code, bytes.substr(0, length));
    bytes.remove_prefix(std::min(bytes.size(), length + Padding(length)));
  }
}

PcapngFind PcapngParser::Next(std::string_view bytes, PcapngBlock* block) {
  ResetBlock(block);
  const auto damaged = [&](const char* reason) {
    block->reason = reason;
    return PcapngFind::kDamaged;
  };
  if (bytes.size() < kFrameBytes) return PcapngFind::kMore;
  const bool section = LoadLe<std::uint32_t>(bytes.data()) == kPcapngSectionMagic;
  bool big_endian = big_endian_;
  if (section) {
    const auto order = SectionIsBigEndian(bytes.data() + kHeadBytes);
    if (!order) return damaged("a section of unknown byte order");
    big_endian = *order;
  } else if (!in_section_) {
    return damaged("no section header");
  }
  const auto total = Load<std::uint32_t>(bytes.data() + 4, big_endian);
  if (total < kFrameBytes || total % 4 != 0 || total > kMaxPcapngBlockBytes) {
    return damaged("a block with an impossible length");
  }
  block->total_bytes = total;
  if (bytes.size() < total) return PcapngFind::kMore;
  if (Load<std::uint32_t>(bytes.data() + total - 4, big_endian) != total) {
    return damaged("a block whose two lengths differ");
  }
  const std::string_view body = bytes.substr(kHeadBytes, total - kFrameBytes);
  if (section) {
    big_endian_ = big_endian;
    ReadSection(body, block);
    return PcapngFind::kBlock;
  }
  switch (U32(bytes.data())) {
    case kInterfaceBlock:
      ReadInterface(body, block);
      break;
    case kObsoletePacketBlock:
      ReadObsoletePacket(body, block);
      break;
    case kSimplePacketBlock:
      ReadSimplePacket(body, block);
      break;
    case kStatisticsBlock:
      ReadStatistics(body, block);
      break;
    case kEnhancedPacketBlock:
      ReadEnhancedPacket(body, block);
      break;
    case kCustomBlock:
      ReadCustom(body, block);
      break;
    default:
      break;
  }
  return PcapngFind::kBlock;
}

void PcapngParser::ReadSection(std::string_view body, PcapngBlock* block) {
  interfaces_.clear();
  clocks_.clear();
  in_section_ = false;
  if (body.size() < kSectionBodyBytes) return Break("a section header that is too short", block);
  if (U16(body.data() + 4) != 1) return Break("a section of an unknown version", block);
  in_section_ = true;
  block->kind = PcapngBlockKind::kSection;
}

void PcapngParser::ReadInterface(std::string_view body, PcapngBlock* block) {
  if (interfaces_.size() >= kMaxPcapngInterfaces) return Break("too many interfaces", block);
  // A short one still takes a number, so that those behind it keep theirs.
  PcapngInterface interface;
  Clock clock;
  if (body.size() >= kInterfaceBodyBytes) {
    interface.link_type = U16(body.data());
    interface.snaplen = U32(body.data() + 4);
    ForEachOption(body.substr(kInterfaceBodyBytes), [&](std::uint16_t code, std::string_view v) {
      if (code == kInterfaceName) interface.name = v.substr(0, kMaxPcapngNameBytes);
      if (code == kInterfaceResolution && !v.empty()) {
        const auto resolution = static_cast<std::uint8_t>(v[0]);
        clock.binary = (resolution & 0x80) != 0;
        clock.exponent = resolution & 0x7f;
      }
      if (code == kInterfaceOffset && v.size() == 8) {
        clock.offset_s = static_cast<std::int64_t>(U64(v.data()));
      }
    });
    block->kind = PcapngBlockKind::kInterface;
  } else {
    Break("an interface that is too short", block);
  }
  interfaces_.push_back(std::move(interface));
  clocks_.push_back(clock);
}

void PcapngParser::ReadPacketOption(std::uint16_t code, std::string_view value,
                                    PcapngPacket* packet) const {
  constexpr std::size_t kNamesBytes = 4 + kPacketMark.size() + 16;
  if (code == kComment && packet->comment.empty()) packet->comment = value;
  if (code == kPacketFlags && value.size() == 4) {
    const std::uint32_t direction = U32(value.data()) & 3;
    if (direction < 3) packet->direction = static_cast<PacketDirection>(direction);
  }
  if (code == kPacketDropCount && value.size() == 8) packet->dropped = U64(value.data());
  if (code == kCustomBinary && value.size() >= kNamesBytes &&
      U32(value.data()) == kPcapngEnterprise &&
      value.substr(4, kPacketMark.size()) == kPacketMark) {
    packet->process = ProcessId(LoadLe<std::uint64_t>(value.data() + kNamesBytes - 16));
    packet->flow = FlowId(LoadLe<std::uint64_t>(value.data() + kNamesBytes - 8));
  }
}

void PcapngParser::ReadEnhancedPacket(std::string_view body, PcapngBlock* block) const {
  if (body.size() < kPacketBodyBytes) return Break("a packet that is too short", block);
  PcapngPacket& packet = block->packet;
  packet = {};
  packet.interface = U32(body.data());
  if (packet.interface >= interfaces_.size()) return Break("a packet of no interface", block);
  const std::size_t captured = U32(body.data() + 12);
  packet.wire_bytes = U32(body.data() + 16);
  if (captured > body.size() - kPacketBodyBytes) {
    return Break("a packet that is longer than its block", block);
  }
  packet.wall_ns = clocks_[packet.interface].ToWallNs(Ticks(body.data() + 4));
  packet.bytes = body.substr(kPacketBodyBytes, captured);
  const std::size_t options = kPacketBodyBytes + captured + Padding(captured);
  if (options < body.size()) {
    ForEachOption(body.substr(options), [&](std::uint16_t code, std::string_view value) {
      ReadPacketOption(code, value, &packet);
    });
  }
  block->kind = PcapngBlockKind::kPacket;
}

void PcapngParser::ReadObsoletePacket(std::string_view body, PcapngBlock* block) const {
  if (body.size() < kPacketBodyBytes) return Break("a packet that is too short", block);
  PcapngPacket& packet = block->packet;
  packet = {};
  packet.interface = U16(body.data());
  if (packet.interface >= interfaces_.size()) return Break("a packet of no interface", block);
  const std::uint16_t dropped = U16(body.data() + 2);
  if (dropped != 0xffff) packet.dropped = dropped;  // all ones: not known
  const std::size_t captured = U32(body.data() + 12);
  packet.wire_bytes = U32(body.data() + 16);
  if (captured > body.size() - kPacketBodyBytes) {
    return Break("a packet that is longer than its block", block);
  }
  packet.wall_ns = clocks_[packet.interface].ToWallNs(Ticks(body.data() + 4));
  packet.bytes = body.substr(kPacketBodyBytes, captured);
  block->kind = PcapngBlockKind::kPacket;
}

void PcapngParser::ReadSimplePacket(std::string_view body, PcapngBlock* block) const {
  if (body.size() < 4) return Break("a packet that is too short", block);
  if (interfaces_.empty()) return Break("a packet of no interface", block);
  PcapngPacket& packet = block->packet;
  packet = {};
  packet.timed = false;
  packet.wire_bytes = U32(body.data());
  // What was captured is not written: the packet, up to the interface's limit.
  const std::uint32_t snaplen = interfaces_[0].snaplen;
  std::size_t captured = packet.wire_bytes;
  if (snaplen != 0) captured = std::min<std::size_t>(captured, snaplen);
  if (captured > body.size() - 4) return Break("a packet that is longer than its block", block);
  packet.bytes = body.substr(4, captured);
  block->kind = PcapngBlockKind::kPacket;
}

void PcapngParser::ReadStatistics(std::string_view body, PcapngBlock* block) const {
  if (body.size() < kStatisticsBodyBytes) return Break("statistics that are too short", block);
  PcapngStatistics& statistics = block->statistics;
  statistics = {};
  statistics.interface = U32(body.data());
  if (statistics.interface >= interfaces_.size()) {
    return Break("statistics of no interface", block);
  }
  const Clock& clock = clocks_[statistics.interface];
  statistics.wall_ns = clock.ToWallNs(Ticks(body.data() + 4));
  ForEachOption(body.substr(kStatisticsBodyBytes), [&](std::uint16_t code, std::string_view v) {
    if (v.size() != 8) return;
    if (code == kStatisticsStart) statistics.start_ns = clock.ToWallNs(Ticks(v.data()));
    if (code == kStatisticsEnd) statistics.end_ns = clock.ToWallNs(Ticks(v.data()));
    if (code == kStatisticsReceived) statistics.received = U64(v.data());
    if (code == kStatisticsInterfaceDrops) statistics.interface_drops = U64(v.data());
    if (code == kStatisticsOsDrops) statistics.os_drops = U64(v.data());
  });
  block->kind = PcapngBlockKind::kStatistics;
}

void PcapngParser::ReadCustom(std::string_view body, PcapngBlock* block) const {
  constexpr std::size_t kMarkEnd = 4 + kProcessMark.size();
  if (body.size() < kMarkEnd || U32(body.data()) != kPcapngEnterprise ||
      body.substr(4, kProcessMark.size()) != kProcessMark) {
    return;  // somebody else's
  }
  if (!ReadProcess(body.substr(kMarkEnd), &block->process)) {
    return Break("a process without an id", block);
  }
  block->kind = PcapngBlockKind::kProcess;
}

bool PcapngParser::PlausibleAt(std::string_view bytes, std::size_t at, bool* more) const {
  const std::string_view rest = bytes.substr(at);
  if (rest.size() < kFrameBytes) {
    *more = true;
    return false;
  }
  bool big_endian = big_endian_;
  if (LoadLe<std::uint32_t>(rest.data()) == kPcapngSectionMagic) {
    const auto order = SectionIsBigEndian(rest.data() + kHeadBytes);
    if (!order) return false;
    big_endian = *order;
  } else {
    const std::uint32_t type = U32(rest.data());
    const bool known =
        (type >= kInterfaceBlock && type <= kEnhancedPacketBlock) || type == kCustomBlock;
    if (!in_section_ || !known) return false;
  }
  const auto total = Load<std::uint32_t>(rest.data() + 4, big_endian);
  if (total <= kFrameBytes || total % 4 != 0 || total > kMaxPcapngResyncBytes) return false;
  if (rest.size() < total) {
    *more = true;
    return false;
  }
  return Load<std::uint32_t>(rest.data() + total - 4, big_endian) == total;
}

std::size_t PcapngParser::Resync(std::string_view bytes, std::size_t from, bool last,
                                 bool* more) const {
  *more = false;
  for (std::size_t at = from; at < bytes.size(); ++at) {
    bool undecided = false;
    if (PlausibleAt(bytes, at, &undecided)) return at;
    if (undecided && !last) {
      *more = true;
      return at;
    }
  }
  return bytes.size();
}

}  // namespace culprit
