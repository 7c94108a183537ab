// SPDX-License-Identifier: Apache-2.0
// PacketRing: the live capture of the agent. Packets of all interfaces go through the kernel's
// budget, get the names of their flow and process, and stay on disk in a bounded ring, in lanes, so
// that what comes in bulk evicts neither logins nor names nor first contacts.
//
//   tap (kernel budget) -> join (wait 300 ms, names) -> segments of a lane -> query, freeze
//
// Stage: ring (edge: libpcap, libbpf, disk). Thread: one of its own; every method may be called
// from any thread. Learn*() and Flag*() never wait: the queue to the ring is bounded, and what does
// not fit is counted. Freeze(), Query() and Settle() wait for the ring's thread (well below a
// second). Failure: a part that cannot work is told in status().degraded; the rest goes on.
// Directory: DIR/{general,login,contact}/ (segment_ring.h) and DIR/frozen/NAME/LANE/ (frozen.h).
#ifndef CULPRIT_AGENT_RING_RING_H_
#define CULPRIT_AGENT_RING_RING_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ring/frozen.h"
#include "agent/ring/lane.h"
#include "agent/ring/packet_join.h"
#include "agent/ring/packet_tap.h"
#include "agent/ring/query.h"
#include "agent/ring/segment_ring.h"
#include "common/pcapng.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct RingConfig {
  bool enabled = true;  // for who starts it
  std::string directory;
  // Hard bound: segments x segment_bytes, at least 2 MiB; half of it for the general lane, a
  // quarter for each of the others. A lane whose share has no room for two such segments has
  // smaller ones.
  std::uint64_t segment_bytes = 16U << 20;
  std::uint32_t segments = 16;
  std::uint64_t frozen_bytes = 256U << 20;    // beside it
  std::uint64_t min_free_bytes = 256U << 20;  // of the file system, for others
  PacketTapOptions tap;                       // interfaces, buffers, budgets
  PacketJoinOptions join;
  std::size_t max_processes = 4096;  // whose definition is kept to be written
  std::size_t max_queue = 16'384;    // flows and processes on their way to the ring
  PcapngSection section;             // what the files say of this host
  // Every IP packet that is kept, as cut, with its wall time; on the ring's thread, for the call.
  std::function<void(const Packet& packet, std::int64_t wall_ns)> on_packet;
};

// A flow row, as far as packets need it. Fed when it begins, changes and ends.
struct RingFlow {
  FlowId flow;
  ProcessId process;
  Tgid tgid;
  std::string comm;
  Endpoint local, remote;
  std::uint8_t protocol = 0;
  BootTime start;
  BootTime end;           // zero = open
  bool is_agent = false;  // the agent's own connection: counted, not kept
};

struct RingStatus {
  std::vector<TapInterface> interfaces;
  TapCounters classes{};  // by culprit_tap_class
  std::array<SegmentRingStats, kRingLanes> lanes;
  PacketJoinStats join;
  std::uint64_t bytes = 0;     // of all lanes
  std::int64_t oldest_ns = 0;  // packet on disk; 0 = none
  std::uint64_t frozen_bytes = 0;
  std::uint64_t queue_dropped = 0;  // flows and processes that did not fit
  std::uint64_t undecoded = 0;      // packets whose headers could not be read
  std::vector<std::string> degraded;
};

class PacketRing {
 public:
  // `decode` is DecodePacket(); it is called on the ring's and on Query()'s thread. Errors: no
  // right to capture, no directory, bounds that make no sense.
  static Result<std::unique_ptr<PacketRing>> Start(const RingConfig& config, PacketDecoder decode);
  ~PacketRing();  // stops the thread and closes the segments
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;

  void LearnFlow(RingFlow flow);
  void LearnProcess(PcapngProcess process);
  // Whole packets of whom somebody suspects, until told otherwise. At most 1,024 processes.
  void FlagProcess(ProcessId process, bool flagged);
  void FlagFlow(const Endpoint& a, const Endpoint& b, std::uint8_t protocol, bool flagged);
  void FlagAddress(const IpAddress& address, bool flagged);

  // Segments with packets of that time stay, until Unfreeze(); logins first if room is short. What
  // passed within the last half second may come too late: freeze again under the same name.
  Result<FrozenResult> Freeze(std::string_view name, std::int64_t from_ns, std::int64_t to_ns);
  // Likewise, only segments that may hold what is asked for, and not forced to the disk: for a read
  // that follows. The name is there afterwards, also where nothing fits.
  Result<FrozenResult> FreezeFor(std::string_view name, const PacketQuery& query);
  Status Unfreeze(std::string_view name);
  Result<std::vector<std::string>> FrozenNames() const;
  // Reads on the caller's thread; nothing, where nothing is under that name.
  Result<std::unique_ptr<PacketCursor>> ReadFrozen(std::string_view name,
                                                   const PacketQuery& query) const;
  // Reads on the caller's thread, what passed up to half a second ago. `frozen`: what is
  // under that name instead of the ring.
  Result<QueryStats> Query(const PacketQuery& query,
                           const std::function<bool(const StoredPacket&)>& sink,
                           std::string_view frozen = {});
  // Takes what the kernel has ready, writes what has waited long enough, and refreshes status().
  void Settle();
  RingStatus status() const;  // at most two seconds old

 private:
  class Impl;
  explicit PacketRing(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_RING_H_
