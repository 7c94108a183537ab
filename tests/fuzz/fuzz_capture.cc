// SPDX-License-Identifier: Apache-2.0
// Fuzzer: captures from any bytes, packed ones too. What is delivered and what is damaged stays
// within the file; nothing is longer than its bound; reading twice says the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/source/capture_file.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

// A few bytes of zstd unpack to gigabytes: enough of them have been seen after this many packets.
constexpr std::uint64_t kMaxPackets = 1U << 16;

std::uint64_t ReadAll(std::string_view bytes) {
  auto reader = CaptureReader::FromStream(OpenMemoryStream(bytes));
  if (!reader) return 0;
  std::uint64_t mark = 0;
  (*reader)->SetOnProcess([&](const PcapngProcess& process) {
    if (process.id == ProcessId{}) std::abort();
    mark += process.exe.size() + process.arguments.size();
  });
  const CaptureStats& stats = (*reader)->stats();
  CapturedPacket packet;
  while (stats.packets < kMaxPackets && (*reader)->Next(packet).value_or(false)) {
    if (packet.bytes.size() > kMaxCaptureBytes || packet.wire_bytes < packet.bytes.size() ||
        packet.interface >= stats.interfaces.size()) {
      std::abort();
    }
    for (const char c : packet.bytes) mark = mark * 31 + static_cast<std::uint8_t>(c);
  }
  if (stats.damage.size() > kMaxDamageKept || stats.damage.size() > stats.damaged) std::abort();
  if (stats.packing == Packing::kNone && stats.bytes + stats.damaged_bytes > 2 * bytes.size()) {
    std::abort();
  }
  return mark + stats.packets + stats.damaged;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (ReadAll(bytes) != ReadAll(bytes)) std::abort();
  return 0;
}
