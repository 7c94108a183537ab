// SPDX-License-Identifier: Apache-2.0
// Packets of the ring, or of something frozen, by time, flow, process or endpoint.
// Stage: ring (edge: reads files). Thread: any, also while the ring goes on: segments that are
// removed meanwhile are passed over, and what is not flushed is not seen. Failure: a damaged
// segment ends at its last whole block, which is counted.
#ifndef CULPRIT_AGENT_RING_QUERY_H_
#define CULPRIT_AGENT_RING_QUERY_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/packet.h"
#include "agent/ring/segment_index.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/pcapng.h"
#include "common/result.h"

namespace culprit {

// agent/decode's DecodePacket(), which this stage cannot name.
using PacketDecoder = std::function<PacketStatus(const CapturedPacket&, Packet&)>;

// Everything that is set must hold.
struct PacketQuery {
  std::int64_t from_ns = std::numeric_limits<std::int64_t>::min();
  std::int64_t to_ns = std::numeric_limits<std::int64_t>::max();  // inclusive
  std::vector<FlowId> flows;                                      // one of them; empty: any
  std::vector<ProcessId> processes;                               // likewise
  std::optional<IpAddress> address;                               // of either end
  std::optional<std::uint16_t> port;  // of either end; with an address: of the same
};

// Views are valid during the call.
struct StoredPacket {
  std::string_view interface;
  int link_type = 0;
  PcapngPacket packet;
  const PcapngProcess* process = nullptr;  // null: not defined in its segment
};

struct QueryStats {
  std::uint64_t segments = 0, passed_over = 0, damaged = 0;
  std::uint64_t packets = 0;  // given out
};

// Whether a segment with that index need be read.
bool MayHold(const PacketQuery& query, const SegmentIndex& index);

// The matching packets of several directories, of lanes (see ring.h), in order of time, one at a
// time. Thread: one caller. Memory: one block of one segment a directory, and its processes.
class PacketCursor {
 public:
  static Result<std::unique_ptr<PacketCursor>> Open(const std::vector<std::string>& directories,
                                                    PacketQuery query, PacketDecoder decode);
  ~PacketCursor();
  PacketCursor(const PacketCursor&) = delete;
  PacketCursor& operator=(const PacketCursor&) = delete;

  // Null at the end. Valid until the next call.
  Result<const StoredPacket*> Next();
  const QueryStats& stats() const { return stats_; }

 private:
  class Lane;
  PacketCursor(PacketQuery query, PacketDecoder decode);

  const PacketQuery query_;
  const PacketDecoder decode_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  Lane* given_ = nullptr;  // whose packet the caller has
  QueryStats stats_;
};

// All of them. The sink ends it by returning false.
Result<QueryStats> QueryPackets(const std::vector<std::string>& directories,
                                const PacketQuery& query, const PacketDecoder& decode,
                                const std::function<bool(const StoredPacket&)>& sink);

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_QUERY_H_
