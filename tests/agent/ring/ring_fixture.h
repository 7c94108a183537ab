// SPDX-License-Identifier: Apache-2.0
// A segment ring in a directory of its own, packets to fill it, and what a reader finds in it.
// Thread: one owner.
#ifndef CULPRIT_TESTS_AGENT_RING_RING_FIXTURE_H_
#define CULPRIT_TESTS_AGENT_RING_RING_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/decode/packet_decoder.h"
#include "agent/ring/query.h"
#include "agent/ring/segment_ring.h"
#include "tests/support/packet_builder.h"

namespace culprit::testing {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr int kEthernet = 1;

inline std::uint64_t BytesBelow(const std::string& directory) {
  std::uint64_t sum = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) sum += entry.file_size();
  }
  return sum;
}

// What a query gives, owned.
struct Found {
  std::int64_t wall_ns = 0;
  std::string interface, bytes, comment, exe;
  std::uint32_t wire_bytes = 0;
  PacketDirection direction = PacketDirection::kUnknown;
  FlowId flow;
  ProcessId process;
};

inline Found Own(const StoredPacket& p) {
  return {p.packet.wall_ns,
          std::string(p.interface),
          std::string(p.packet.bytes),
          std::string(p.packet.comment),
          p.process != nullptr ? p.process->exe : "",
          p.packet.wire_bytes,
          p.packet.direction,
          p.packet.flow,
          p.packet.process};
}

inline std::vector<Found> FindPackets(const std::vector<std::string>& directories,
                                      const PacketQuery& query = {}, QueryStats* stats = nullptr) {
  std::vector<Found> found;
  const auto done = QueryPackets(directories, query, DecodePacket, [&](const StoredPacket& p) {
    found.push_back(Own(p));
    return true;
  });
  EXPECT_TRUE(done) << done.error().message;
  if (done && stats != nullptr) *stats = *done;
  return found;
}

// Feeds a ring with datagrams that carry their number.
class RingWriter {
 public:
  explicit RingWriter(SegmentRingOptions options) : options_(std::move(options)) { Open(); }

  void Open() {
    ring_.reset();
    auto opened = SegmentRing::Open(options_, [this](ProcessId id) -> const PcapngProcess* {
      const auto at = processes.find(id);
      return at != processes.end() ? &at->second : nullptr;
    });
    ASSERT_TRUE(opened) << opened.error().message;
    ring_ = std::move(*opened);
  }
  SegmentRing& ring() { return *ring_; }
  void Close() { ring_.reset(); }

  // Packet n is sent at second n.
  void Write(std::uint32_t n, std::size_t payload = 100, ProcessId process = {}, FlowId flow = {},
             std::uint32_t interface = 0) {
    const std::string bytes = Bytes(n, payload);
    SegmentPacket packet;
    packet.interface = &interfaces.at(interface);
    packet.packet.interface = packet.interface->id;
    packet.packet.direction = PacketDirection::kOut;
    packet.packet.wall_ns = (1'700'000'000 + std::int64_t{n}) * kSecond;
    packet.packet.wire_bytes = static_cast<std::uint32_t>(bytes.size());
    packet.packet.bytes = bytes;
    packet.names.process = process;
    packet.names.flow = flow;
    packet.source = IpAddress::Parse("192.0.2.1").value();
    packet.destination = IpAddress::Parse("198.51.100.7").value();
    ring_->Write(packet);
  }
  static std::string Bytes(std::uint32_t n, std::size_t payload) {
    return EthernetFrame(kEtherIpv4,
                         Ipv4Packet(17, UdpDatagram(4000, 7, Be32(n) + std::string(payload, 'x'))));
  }
  static std::uint32_t NumberOf(const Found& found) {
    return static_cast<std::uint32_t>(found.wall_ns / kSecond - 1'700'000'000);
  }

  std::map<ProcessId, PcapngProcess> processes;
  std::vector<SegmentInterface> interfaces = {{7, {"eth0", kEthernet, 0}},
                                              {9, {"eth1", kEthernet, 0}}};

 private:
  SegmentRingOptions options_;
  std::unique_ptr<SegmentRing> ring_;
};

inline SegmentRingOptions SmallRing(const std::string& directory) {
  SegmentRingOptions options;
  options.directory = directory;
  options.segment_bytes = kMinSegmentBytes;
  options.max_bytes = 4 * kMinSegmentBytes;
  options.buffer_bytes = 16U << 10;
  return options;
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_AGENT_RING_RING_FIXTURE_H_
