// SPDX-License-Identifier: Apache-2.0
// Packets of a capture -> the events that the kernel programs would have told about the same
// traffic: flows with their outcome and cumulative counters, activity of each watched host's
// process, once a second of capture time.
//
//   CaptureReader -> DecodePacket -> FlowAssembler -> enrich -> aggregate (as live)
//
// A flow between two watched hosts is told from both ends, as a loopback connection is. Counters of
// the live agent that a capture cannot give (raw sockets, senders of a shared socket) stay 0.
// Stage: assemble. Pure: time is that of the packets. Thread: one caller. Failure: none; over
// max_flows the oldest flow is told and forgotten, and counted.
#ifndef CULPRIT_AGENT_ASSEMBLE_FLOW_ASSEMBLER_H_
#define CULPRIT_AGENT_ASSEMBLE_FLOW_ASSEMBLER_H_

#include <absl/container/flat_hash_map.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "agent/assemble/activity.h"
#include "agent/assemble/local_hosts.h"
#include "agent/model/event.h"
#include "agent/model/packet.h"
#include "agent/model/zeek.h"

namespace culprit {

struct AssembleLimits {
  std::size_t max_flows = 262'144;
  std::chrono::seconds syn_wait{6};    // unanswered so long after the last SYN: timed out
  std::chrono::seconds close_wait{1};  // for the last acknowledgements
  std::chrono::seconds datagram_idle{60};
  std::chrono::seconds stream_idle{1800};
};

struct AssembleCounters {
  std::uint64_t packets = 0, ip_bytes = 0;
  std::uint64_t flows = 0, flows_evicted = 0;
  std::uint64_t fragments_without_flow = 0;
};

class FlowAssembler {
 public:
  using Sink = std::function<void(Event event)>;
  // `hosts` and whatever `sink` refers to outlive the assembler.
  FlowAssembler(LocalHosts& hosts, const AssembleLimits& limits, Sink sink);

  // `owner`: the process that the capture itself names for the local end. `quoted`: the packet that
  // an ICMP error is about.
  void On(const Packet& packet, BootTime at, const ProcessKey* owner = nullptr,
          const Packet* quoted = nullptr);
  // A whole connection of a Zeek log, from its first packet to its last (zeek_flow.cc).
  void OnConnection(const ZeekConn& conn, BootTime start, BootTime end);
  // Snapshots of what changed, time-outs, counters. Once a second of capture time, and at its end.
  void Tick(BootTime now);
  // The end of the capture: what was about to be over is, open flows stay open, as of their last
  // packet.
  void Finish(BootTime now);

  // When Tick() has something to do if no packet comes before; nullopt: never.
  std::optional<BootTime> due() const {
    return timers_.empty() ? std::nullopt : std::optional(timers_.begin()->first);
  }
  const AssembleCounters& counters() const { return counters_; }
  std::size_t live_flows() const { return index_.size(); }

 private:
  struct Key {
    Endpoint low, high;
    std::uint8_t protocol = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return HashEndpoint(key.low) * 31 + HashEndpoint(key.high) + key.protocol;
    }
  };
  enum class Phase : std::uint8_t { kAttempt, kOpen, kClosing, kOver };
  // One way of a flow; way 0 is that of the end that began it.
  struct Way {
    std::uint64_t packets = 0, ip_bytes = 0, payload = 0, repeated = 0;
    std::uint32_t next_seq = 0;
    bool seq_known = false, fin = false;
  };
  // The flow as one of its ends sees it.
  struct View {
    ProcessActivity* activity = nullptr;  // null: not watched
    ProcessKey owner;
    bool first_contact = false;
  };
  struct Tracked {
    Key key;
    std::array<Endpoint, 2> ends;  // 0 began it
    std::array<Way, 2> ways;
    std::array<View, 2> views;
    std::uint64_t number = 0;
    std::uint32_t slot = 0;
    std::uint32_t first_seq = 0;
    Phase phase = Phase::kOpen;
    bool dirty = false, preexisting = false, aborted = false;
    std::int32_t error = 0;
    BootTime start, established, last, due;
  };

  Tracked& Begin(const Packet& packet, const Key& key, BootTime at, const ProcessKey* owner);
  void Watch(Tracked& flow, int view, BootTime at, const ProcessKey* owner);
  static int InitiatorOf(const Packet& packet, bool opening);
  void Count(Tracked& flow, int way, const Packet& packet, BootTime at);
  void Advance(Tracked& flow, int way, const Packet& packet, BootTime at);
  void Establish(Tracked& flow, BootTime at);
  void Fail(Tracked& flow, std::int32_t error, BootTime at);
  void FailAttempt(Tracked& flow, std::int32_t error, BootTime at);
  void OnError(const Packet& packet, const Packet& quoted, BootTime at);
  void End(std::uint32_t slot, BootTime at);
  void Expire(std::uint32_t slot, BootTime now);
  void Arm(std::uint32_t slot, BootTime due);
  void Emit(const Tracked& flow, FlowReason reason, BootTime at);
  FlowEvent EventOf(const Tracked& flow, int view, FlowReason reason, BootTime at) const;
  ProcessActivity& ActivityOf(const ProcessKey& key);
  void EvictOldest(BootTime at);
  Packet PlaceFragment(const Packet& packet);

  LocalHosts& hosts_;
  AssembleLimits limits_;
  Sink sink_;
  std::deque<Tracked> slab_;
  std::vector<std::uint32_t> free_;
  absl::flat_hash_map<Key, std::uint32_t, KeyHash> index_;
  std::deque<std::pair<std::uint64_t, std::uint32_t>> by_age_;  // number and slot, oldest first
  std::map<BootTime, std::vector<std::uint32_t>> timers_;       // by whole seconds
  std::vector<std::uint32_t> dirty_;
  std::map<ProcessKey, ProcessActivity> activity_;
  std::map<std::tuple<IpAddress, IpAddress, std::uint8_t>, std::pair<std::uint16_t, std::uint16_t>>
      fragments_;  // ports of the latest first fragment
  std::uint64_t next_number_ = 1;
  AssembleCounters counters_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_ASSEMBLE_FLOW_ASSEMBLER_H_
