// SPDX-License-Identifier: Apache-2.0
// What a replay says at its end.
#include <fmt/format.h>
#include <pcap/pcap.h>

#include "agent/capture_replay.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxLinksShown = 16;

// "147 (USER0)"; the number alone where libpcap has no name for it.
std::string LinkName(int link_type) {
  const char* name = pcap_datalink_val_to_name(link_type);
  return name == nullptr ? std::to_string(link_type) : fmt::format("{} ({})", link_type, name);
}

std::uint64_t Of(const CaptureReplayStats& stats, PacketStatus status) {
  return stats.by_status.at(static_cast<std::size_t>(status));
}

}  // namespace

std::string FormatReplayStats(const CaptureReplayStats& stats) {
  if (stats.files == 0) return "";
  std::string out =
      fmt::format("replayed {} file{}: {} packets, {} bytes, {} log records\n", stats.files,
                  stats.files == 1 ? "" : "s", stats.packets, stats.bytes, stats.zeek_records);
  const auto line = [&out](std::uint64_t count, const char* what) {
    if (count > 0) out += fmt::format("  {} {}\n", count, what);
  };
  line(Of(stats, PacketStatus::kNotIp), "packets are no IP");
  line(Of(stats, PacketStatus::kTruncated), "packets are cut within a header that is needed");
  line(Of(stats, PacketStatus::kMalformed), "packets have headers that contradict themselves");
  line(Of(stats, PacketStatus::kTooDeep), "packets have more headers in each other than are read");
  std::size_t shown = 0;
  for (const auto& [link_type, packets] : stats.unknown_links) {
    if (++shown > kMaxLinksShown) break;
    out += fmt::format("  {} packets of link type {}, which is not understood\n", packets,
                       LinkName(link_type));
  }
  if (stats.unknown_links.size() > kMaxLinksShown) {
    out += fmt::format("  {} further link types are not understood\n",
                       stats.unknown_links.size() - kMaxLinksShown);
  }
  line(stats.clock_back, "times the capture's clock went back");
  line(stats.damaged_places, "places are damaged (see the lines above)");
  return out;
}

}  // namespace culprit
