// SPDX-License-Identifier: Apache-2.0
// Watches packets and tells what their payload says: DNS, names of servers in TLS, QUIC and HTTP,
// requests to proxies. What a flow is is decided by its content; ports count for DNS only. A flow
// is looked at until that is decided or its budget is spent. Stage: names. Pure: the time is that
// of the packets. Thread: one caller an object. Failure: none; what could not be read is counted.
#ifndef CULPRIT_AGENT_NAMES_NAME_OBSERVER_H_
#define CULPRIT_AGENT_NAMES_NAME_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "agent/model/observation.h"
#include "agent/model/packet.h"
#include "agent/names/flow_table.h"

namespace culprit {

struct NameLimits {
  std::size_t max_flows = 32'768;
  std::size_t max_bytes = 16U << 20;             // of payload that waits for more
  std::int64_t idle_ns = 120LL * 1'000'000'000;  // then a flow is forgotten
};

// One direction of a stream is given up after so many segments, one flow of QUIC after so many
// datagrams.
inline constexpr std::uint16_t kMaxNameSegments = 64;
inline constexpr std::uint16_t kMaxQuicDatagrams = 16;

struct NameCounters {
  std::uint64_t dns_messages = 0;
  std::uint64_t server_names = 0;
  std::uint64_t proxy_requests = 0;
  std::uint64_t dns_malformed = 0;      // on a port of DNS, and no DNS
  std::uint64_t over_budget = 0;        // given up: too long, too many segments
  std::uint64_t cut = 0;                // given up: the capture had not all of it
  std::uint64_t undecided_dropped = 0;  // forgotten while they waited for more
};

class NameObserver {
 public:
  // `from_client`: whether the packet goes from who began the exchange to who answers it.
  using Sink = std::function<void(const Packet& packet, bool from_client, const Observation&)>;

  explicit NameObserver(const NameLimits& limits = {});

  // `at_ns` in any one clock. What `sink` is given is good during the call.
  void Observe(const Packet& packet, std::int64_t at_ns, const Sink& sink);
  NameCounters counters() const;
  std::size_t flows() const { return table_.flows(); }
  std::size_t held_bytes() const { return table_.bytes(); }

 private:
  void ObserveTcp(const Packet& packet, std::int64_t at_ns, const Sink& sink);
  void ObserveUdp(const Packet& packet, std::int64_t at_ns, const Sink& sink);
  void ObserveQuic(const Packet& packet, std::int64_t at_ns, const Sink& sink);
  void BeginStream(const Packet& packet, std::int64_t at_ns);
  void EndStream(NameFlow& flow, const Packet& packet, const Sink& sink);
  void TakeSegment(NameFlow& flow, const Packet& packet, const Sink& sink);
  void Examine(NameFlow& flow, const Packet& packet, std::string_view bytes, const Sink& sink);
  // Whether more of them may come.
  bool TakeDnsMessages(StreamDirection& direction, const Packet& packet, std::string_view bytes,
                       const Sink& sink);
  static void SkipTaken(StreamDirection& direction, std::size_t in_order);
  void GiveUp(NameFlow& flow, StreamDirection& direction, const Packet& packet, const Sink& sink);
  void TellPartial(const StreamDirection& direction, const Packet& packet, bool from_client,
                   const Sink& sink);
  void Tell(const Packet& packet, bool from_client, const Observation& observation,
            const Sink& sink);

  NameFlowTable table_;
  NameCounters counters_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_NAME_OBSERVER_H_
