// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "common/bytes.h"
#include "common/pcapng.h"
#include "common/pcapng_format.h"
#include "common/text.h"

namespace culprit {
namespace {

using namespace pcapng;  // NOLINT(google-build-using-namespace): the format's own numbers

constexpr std::size_t kMaxOptionBytes = 65535;

template <class T>
void Put(T value, std::string* out) {
  const std::size_t at = out->size();
  out->resize(at + sizeof(value));
  StoreLe(out->data() + at, value);
}
void Pad(std::size_t length, std::string* out) { out->append(Padding(length), '\0'); }

void PutOption(std::uint16_t code, std::string_view value, std::string* out) {
  value = value.substr(0, kMaxOptionBytes);
  Put(code, out);
  Put(static_cast<std::uint16_t>(value.size()), out);
  out->append(value);
  Pad(value.size(), out);
}
void PutTextOption(std::uint16_t code, std::string_view text, std::string* out) {
  if (!text.empty()) PutOption(code, text, out);
}
template <class T>
void PutNumberOption(std::uint16_t code, T value, std::string* out) {
  char bytes[sizeof(value)];
  StoreLe(bytes, value);
  PutOption(code, {bytes, sizeof(bytes)}, out);
}
void PutTicks(std::int64_t wall_ns, std::string* out) {
  const auto ticks = static_cast<std::uint64_t>(std::max<std::int64_t>(wall_ns, 0));
  Put(static_cast<std::uint32_t>(ticks >> 32), out);
  Put(static_cast<std::uint32_t>(ticks), out);
}
void PutTimeOption(std::uint16_t code, std::int64_t wall_ns, std::string* out) {
  std::string ticks;
  PutTicks(wall_ns, &ticks);
  PutOption(code, ticks, out);
}

// Opens a block in `out` and closes it, with its length on both ends, when it goes.
class Block {
 public:
  Block(std::uint32_t type, std::string* out) : out_(out), start_(out->size()) {
    Put(type, out);
    Put(std::uint32_t{0}, out);
  }
  ~Block() {
    const auto length = static_cast<std::uint32_t>(out_->size() - start_ + 4);
    StoreLe(out_->data() + start_ + 4, length);
    Put(length, out_);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

 private:
  std::string* out_;
  std::size_t start_;
};

}  // namespace

void AppendPcapngSection(const PcapngSection& section, std::string* out) {
  const Block block(kPcapngSectionMagic, out);
  Put(kByteOrderMagic, out);
  Put(std::uint16_t{1}, out);
  Put(std::uint16_t{0}, out);
  Put(std::int64_t{-1}, out);  // length of the section: not known
  PutTextOption(kSectionHardware, section.hardware, out);
  PutTextOption(kSectionOs, section.os, out);
  PutTextOption(kSectionApplication, section.application, out);
  PutOption(kEndOfOptions, {}, out);
}

void AppendPcapngInterface(const PcapngInterface& interface, std::string* out) {
  const Block block(kInterfaceBlock, out);
  Put(static_cast<std::uint16_t>(interface.link_type), out);
  Put(std::uint16_t{0}, out);
  Put(interface.snaplen, out);
  PutTextOption(kInterfaceName, interface.name, out);
  PutNumberOption(kInterfaceResolution, std::uint8_t{9}, out);
  PutOption(kEndOfOptions, {}, out);
}

void AppendPcapngPacket(const PcapngPacket& packet, std::string* out) {
  const Block block(kEnhancedPacketBlock, out);
  const auto ticks = static_cast<std::uint64_t>(std::max<std::int64_t>(packet.wall_ns, 0));
  std::array<char, 20> head{};  // at once: this is written for every packet
  StoreLe(head.data(), packet.interface);
  StoreLe(head.data() + 4, static_cast<std::uint32_t>(ticks >> 32));
  StoreLe(head.data() + 8, static_cast<std::uint32_t>(ticks));
  StoreLe(head.data() + 12, static_cast<std::uint32_t>(packet.bytes.size()));
  StoreLe(head.data() + 16, packet.wire_bytes);
  out->append(head.data(), head.size());
  out->append(packet.bytes);
  Pad(packet.bytes.size(), out);
  PutTextOption(kComment, packet.comment, out);
  if (packet.direction != PacketDirection::kUnknown) {
    PutNumberOption(kPacketFlags, static_cast<std::uint32_t>(packet.direction), out);
  }
  if (packet.dropped) PutNumberOption(kPacketDropCount, *packet.dropped, out);
  if (packet.process != ProcessId{} || packet.flow != FlowId{}) {
    std::array<char, 4 + kPacketMark.size() + 16> names{};
    StoreLe(names.data(), kPcapngEnterprise);
    char* at = std::copy(kPacketMark.begin(), kPacketMark.end(), names.data() + 4);
    StoreLe(at, packet.process.value());
    StoreLe(at + 8, packet.flow.value());
    PutOption(kCustomBinary, {names.data(), names.size()}, out);
  }
  PutOption(kEndOfOptions, {}, out);
}

void AppendPcapngStatistics(const PcapngStatistics& statistics, std::string* out) {
  const Block block(kStatisticsBlock, out);
  Put(statistics.interface, out);
  PutTicks(statistics.wall_ns, out);
  if (statistics.start_ns) PutTimeOption(kStatisticsStart, *statistics.start_ns, out);
  if (statistics.end_ns) PutTimeOption(kStatisticsEnd, *statistics.end_ns, out);
  if (statistics.received) PutNumberOption(kStatisticsReceived, *statistics.received, out);
  if (statistics.interface_drops) {
    PutNumberOption(kStatisticsInterfaceDrops, *statistics.interface_drops, out);
  }
  if (statistics.os_drops) PutNumberOption(kStatisticsOsDrops, *statistics.os_drops, out);
  PutOption(kEndOfOptions, {}, out);
}

void AppendPcapngProcess(const PcapngProcess& process, std::string* out) {
  const Block block(kCustomBlock, out);
  Put(kPcapngEnterprise, out);
  out->append(kProcessMark);
  PutNumberOption(kProcessId, process.id.value(), out);
  PutNumberOption(kProcessTgid, process.tgid.value(), out);
  PutNumberOption(kProcessStart, ToNs(process.start), out);
  PutNumberOption(kProcessExecId, process.exec_id, out);
  PutNumberOption(kProcessUid, process.uid.value(), out);
  PutTextOption(kProcessExe, process.exe, out);
  PutTextOption(kProcessArguments, process.arguments, out);
  PutNumberOption(kProcessParent, process.parent.value(), out);
  PutOption(kEndOfOptions, {}, out);
}

std::string PcapngPacketComment(ProcessId process, FlowId flow, Tgid tgid, std::string_view comm) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  const auto hex = [&](std::string_view name, std::uint64_t value) {
    out.append(name);
    for (int shift = 60; shift >= 0; shift -= 4) out.push_back(kDigits[(value >> shift) & 15]);
  };
  hex("p=", process.value());
  hex(" f=", flow.value());
  out += " pid=" + std::to_string(tgid.value()) + " comm=" + EscapeText(comm);
  return out;
}

}  // namespace culprit
