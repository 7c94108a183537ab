// SPDX-License-Identifier: Apache-2.0
// PacketExport: packets that a query found, as one pcapng file: a section, each interface and each
// process ahead of its first packet, comments as they are on disk. The same packets give the same
// bytes. Stage: ring. Pure. Thread: one caller. Bound: kMaxExportProcesses are remembered; beyond,
// a process may be defined again.
#ifndef CULPRIT_AGENT_RING_PACKET_EXPORT_H_
#define CULPRIT_AGENT_RING_PACKET_EXPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>

#include "agent/ring/query.h"
#include "common/pcapng.h"

namespace culprit {

inline constexpr std::size_t kMaxExportProcesses = 16'384;

class PacketExport {
 public:
  // `max_bytes`: of the file; 0 = no bound.
  explicit PacketExport(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // What a file begins with; always whole.
  void Begin(const PcapngSection& section, std::string* out);
  // False: there is no room for it under the bound, and the file ends before it.
  bool Add(const StoredPacket& packet, std::string* out);

  std::uint64_t packets() const { return packets_; }
  std::uint64_t wire_bytes() const { return wire_bytes_; }
  std::uint64_t kept_bytes() const { return kept_bytes_; }
  bool cut_off() const { return cut_off_; }

 private:
  const std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0, packets_ = 0, wire_bytes_ = 0, kept_bytes_ = 0;
  bool cut_off_ = false;
  std::map<std::pair<std::string, int>, std::uint32_t> interfaces_;  // name, link type
  std::unordered_set<ProcessId> processes_;
  std::string blocks_;  // of one packet; kept for its memory
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_PACKET_EXPORT_H_
