// SPDX-License-Identifier: Apache-2.0
// PacketTap: live capture with libpcap on every interface that is up, as they come and go.
// Each interface has two handles, one for each direction: libpcap does not say which way a packet
// went, and the kernel filter of a handle can (it costs a second look at the packet's type; two
// clear streams beat guessing by addresses). Handles are full link layer, not "any", so that link
// headers stay. Loopback, where every packet passes twice, has one handle without a direction.
//
// Stage: ring (edge: libpcap, rtnetlink). Thread: one caller, in the network namespace that is
// captured. Failure: an interface that cannot be captured is listed with the reason; the others go
// on. Without the kernel program: a classic filter that keeps headers, which degraded() says.
#ifndef CULPRIT_AGENT_RING_PACKET_TAP_H_
#define CULPRIT_AGENT_RING_PACKET_TAP_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/ring/packet_join.h"
#include "agent/ring/segment_ring.h"
#include "agent/ring/tap_filter.h"
#include "common/result.h"

namespace culprit {

struct PacketTapOptions {
  std::vector<std::string> interfaces;  // empty: all that are up and are no part of another
  bool loopback = false;                // of "all"; without it, DNS alone is taken there
  // Kernel buffers of all handles together: never more. The first interfaces get the larger parts.
  std::uint64_t buffer_bytes = 32U << 20;
  // How long the kernel gathers packets before it wakes us.
  std::chrono::milliseconds gather = std::chrono::milliseconds(200);
  bool use_bpf = true;
  TapPolicy policy;
};

// One interface, for status. Counters are cumulative over the time that it was captured.
struct TapInterface {
  std::string name;
  std::uint32_t ifindex = 0;
  bool wanted = false;  // up, and asked for
  bool captured = false;
  std::string note;              // why not, or what is less than it should be
  std::uint64_t received = 0;    // taken by the filter (ps_recv)
  std::uint64_t dropped = 0;     // taken, and no room in the kernel's buffer (ps_drop)
  std::uint64_t if_dropped = 0;  // by the interface itself (ps_ifdrop)
  std::uint64_t buffer_bytes = 0;
};

class PacketTap {
 public:
  using Sink = std::function<void(const TapPacket&, const SegmentInterface&)>;

  // Errors: no right to capture at all.
  static Result<std::unique_ptr<PacketTap>> Open(const PacketTapOptions& options);
  ~PacketTap();
  PacketTap(const PacketTap&) = delete;
  PacketTap& operator=(const PacketTap&) = delete;

  int fd() const;  // readable when Poll() has work
  // Gives out what the kernel has ready, and follows interfaces. Never waits.
  void Poll(const Sink& sink);

  Status SetFlow(const Endpoint& a, const Endpoint& b, std::uint8_t protocol, FlowPolicy policy);
  Status SetAddress(const IpAddress& address, FlowPolicy policy);

  std::vector<TapInterface> interfaces();  // asks the kernel
  // For the ends of segments: interface id and what to write, of those captured now, as of the last
  // call of interfaces().
  std::vector<std::pair<std::uint32_t, PcapngStatistics>> statistics() const;
  TapCounters counters() const;         // zeros without the program
  const std::string& degraded() const;  // empty = well

 private:
  class Impl;
  explicit PacketTap(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_PACKET_TAP_H_
