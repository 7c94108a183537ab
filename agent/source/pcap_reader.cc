// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "agent/source/capture_readers.h"
#include "common/bytes.h"

namespace culprit {
namespace {

constexpr std::uint32_t kMicroMagic = 0xa1b2c3d4, kNanoMagic = 0xa1b23c4d,
                        kModifiedMagic = 0xa1b2cd34;
constexpr std::size_t kFileHeaderBytes = 24;
constexpr std::size_t kRecordHeadBytes = 16;
constexpr std::size_t kModifiedHeadBytes = 24;  // and interface, protocol, packet type
constexpr std::uint32_t kNsPerSecond = 1'000'000'000;

bool KnownMagic(std::uint32_t magic) {
  return magic == kMicroMagic || magic == kNanoMagic || magic == kModifiedMagic;
}

}  // namespace

bool PcapReader::Recognizes(std::string_view magic) {
  if (magic.size() < 4) return false;
  const auto value = LoadLe<std::uint32_t>(magic.data());
  return KnownMagic(value) || KnownMagic(__builtin_bswap32(value));
}

PcapReader::PcapReader(ByteWindow window) : CaptureReader(std::move(window)) {
  stats_.format = "pcap";
}

std::uint32_t PcapReader::U32(const char* at) const {
  const auto value = LoadLe<std::uint32_t>(at);
  return big_endian_ ? __builtin_bswap32(value) : value;
}

// False: cut off.
bool PcapReader::TakeFileHeader() {
  const std::string_view ahead = window_.Ahead(kFileHeaderBytes);
  if (ahead.size() < kFileHeaderBytes) {
    EndInDamage("the file header is cut off");
    return false;
  }
  big_endian_ = !KnownMagic(LoadLe<std::uint32_t>(ahead.data()));
  const std::uint32_t magic = U32(ahead.data());
  ns_per_fraction_ = magic == kNanoMagic ? 1 : 1000;
  record_head_bytes_ = magic == kModifiedMagic ? kModifiedHeadBytes : kRecordHeadBytes;
  const std::uint32_t versions = U32(ahead.data() + 4);  // two 16-bit fields in the file's order
  minor_ = static_cast<std::uint16_t>(big_endian_ ? versions : versions >> 16);
  CaptureInterface interface;
  interface.snaplen = U32(ahead.data() + 16);
  interface.link_type = static_cast<int>(U32(ahead.data() + 20) & 0xffff);  // above: FCS length
  ++stats_.sections;
  if (stats_.interfaces.empty() || (stats_.interfaces.back().link_type != interface.link_type &&
                                    stats_.interfaces.size() < kMaxCaptureInterfaces)) {
    stats_.interfaces.push_back(std::move(interface));
  }
  window_.Skip(kFileHeaderBytes);
  header_read_ = true;
  return true;
}

PcapReader::Record PcapReader::ReadRecord(const char* at) const {
  Record record{U32(at), U32(at + 4), U32(at + 8), U32(at + 12)};
  // Before version 2.3 the two lengths stood the other way round, and in 2.3 either way.
  if (minor_ < 3 || (minor_ == 3 && record.captured > record.wire)) {
    std::swap(record.captured, record.wire);
  }
  return record;
}

bool PcapReader::IsFileHeader(std::string_view ahead) const {
  // As a record it would be of 2055 or later, with the version in its fraction and no bytes.
  return Recognizes(ahead.substr(0, 4)) && ahead.size() >= kFileHeaderBytes &&
         (LoadLe<std::uint32_t>(ahead.data() + 4) == 0x00040002 ||
          LoadLe<std::uint32_t>(ahead.data() + 4) == 0x04000200) &&
         LoadLe<std::uint64_t>(ahead.data() + 8) == 0;
}

bool PcapReader::RecordFollows(std::size_t size) {
  const std::string_view ahead = window_.Ahead(size + record_head_bytes_);
  if (ahead.size() == size) return true;
  if (ahead.size() < size + record_head_bytes_) return false;
  const Record next = ReadRecord(ahead.data() + size);
  return next.captured <= kMaxPcapRecordBytes && next.fraction < kNsPerSecond &&
         next.captured <= next.wire;
}

void PcapReader::EndInDamage(std::string reason) {
  const std::uint64_t from = window_.offset();
  // Counts the rest without keeping it.
  for (std::string_view rest = window_.Ahead(1); !rest.empty(); rest = window_.Ahead(1)) {
    window_.Skip(rest.size());
  }
  NoteDamage(from, window_.offset() - from, std::move(reason));
  ended_ = true;
}

Result<bool> PcapReader::Next(CapturedPacket& out) {
  window_.Skip(std::exchange(taken_, 0));
  if (ended_ || (!header_read_ && !TakeFileHeader())) return AtEnd();
  std::string_view ahead = window_.Ahead(kFileHeaderBytes);
  while (IsFileHeader(ahead)) {
    if (!TakeFileHeader()) return AtEnd();
    ahead = window_.Ahead(kFileHeaderBytes);
  }
  if (ahead.empty()) return AtEnd();
  if (ahead.size() < record_head_bytes_) {
    EndInDamage("cut off within the head of a packet");
    return AtEnd();
  }
  const Record record = ReadRecord(ahead.data());
  if (record.captured > kMaxPcapRecordBytes) {
    EndInDamage("a packet of " + std::to_string(record.captured) + " bytes");
    return AtEnd();
  }
  const std::size_t total = record_head_bytes_ + record.captured;
  if (record.captured > kMaxCaptureBytes && !RecordFollows(total)) {
    EndInDamage("a packet of " + std::to_string(record.captured) +
                " bytes, with nothing sensible behind it");
    return AtEnd();
  }
  ahead = window_.Ahead(total);
  if (ahead.size() < total) {
    EndInDamage("cut off within a packet");
    return AtEnd();
  }
  out = {};
  out.wall_ns = std::int64_t{record.seconds} * kNsPerSecond +
                std::int64_t{record.fraction} * ns_per_fraction_;
  out.wire_bytes = record.wire;
  out.interface = static_cast<std::uint32_t>(stats_.interfaces.size() - 1);
  out.bytes = ahead.substr(record_head_bytes_, record.captured);
  taken_ = total;
  Deliver(out);
  return true;
}

}  // namespace culprit
