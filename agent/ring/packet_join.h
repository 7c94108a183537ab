// SPDX-License-Identifier: Apache-2.0
// PacketJoin: which flow and process a packet belongs to, by its tuple, direction and time. The tap
// sees packets before the sensor knows their flow, and each of its handles for itself; so packets
// wait here for a moment, and leave in order of time with the names that are known by then.
// Packets of one interface and direction are taken to come in order.
// Stage: ring. Pure: time arrives in the data. Thread: one caller.
// Bounded: flows by count (ended ones go first), packets by count and bytes (the oldest leave
// early, which is counted).
#ifndef CULPRIT_AGENT_RING_PACKET_JOIN_H_
#define CULPRIT_AGENT_RING_PACKET_JOIN_H_

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/model/packet.h"
#include "agent/ring/held_bytes.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/pcapng.h"

namespace culprit {

// One flow as charged to one process. Fed again when it changes; equal (flow, process) replaces.
struct JoinFlow {
  FlowId flow;
  ProcessId process;
  Tgid tgid;
  std::string comm;
  Endpoint local, remote;  // a local address of "::" stands for every one
  std::uint8_t protocol = 0;
  std::int64_t start_ns = 0;  // wall clock; of an owner that took over: when it did
  std::int64_t end_ns = 0;    // 0 = open
};

// What is known of a packet; `comment` is ready to be written, and valid until the next Learn().
struct PacketNames {
  FlowId flow;
  ProcessId process;
  std::string_view comment;
};

// With the addresses that it was found by; nullopt: no IP, or not readable.
struct JoinedNames {
  PacketNames names;
  std::optional<IpAddress> source, destination;
};

// A packet on its way from the tap to the disk.
struct TapPacket {
  std::uint32_t interface = 0;  // PacketTap's id of it
  PacketDirection direction = PacketDirection::kUnknown;
  std::int64_t wall_ns = 0;
  std::uint32_t wire_bytes = 0;
  std::string_view bytes;
};

struct PacketJoinOptions {
  std::size_t max_flows = 32'768;
  std::size_t max_packets = 16'384;
  std::size_t max_bytes = 8U << 20;
  std::chrono::nanoseconds hold = std::chrono::milliseconds(300);
};

struct PacketJoinStats {
  std::size_t flows = 0, held_packets = 0, held_bytes = 0;
  std::uint64_t evicted_flows = 0;       // live ones, for want of room
  std::uint64_t released_early = 0;      // packets, likewise
  std::uint64_t named = 0, unnamed = 0;  // packets released
};

class PacketJoin {
 public:
  // `lane` is what the caller gave with Hold().
  using Sink = std::function<void(const TapPacket&, std::uint8_t lane, const JoinedNames&)>;

  explicit PacketJoin(const PacketJoinOptions& options = {});

  void Learn(const JoinFlow& flow);
  // The names of a packet with these headers at that time; empty ones if nothing fits.
  PacketNames Find(const Packet& headers, PacketDirection direction, std::int64_t wall_ns) const;

  // Open flows of a process.
  std::vector<JoinFlow> OpenFlowsOf(ProcessId process) const;

  // Takes a copy. `headers` is null where the packet is no IP. `now` is a clock that never steps.
  void Hold(const TapPacket& packet, const Packet* headers, std::uint8_t lane,
            std::chrono::nanoseconds now, const Sink& sink);
  // Gives out what has waited long enough, in order of time.
  void Release(std::chrono::nanoseconds now, const Sink& sink);
  void ReleaseAll(const Sink& sink);

  PacketJoinStats stats() const;

 private:
  struct Key {
    Endpoint local, remote;
    std::uint8_t protocol = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Entry {
    Key key;
    JoinFlow flow;
    std::string comment;
  };
  using Order = std::list<Entry>;  // longest untouched first
  // What is needed of a packet to find its flow.
  struct Ends {
    Endpoint source, destination;
    std::uint8_t protocol = 0;
    bool ip = false;
  };
  struct Held {
    TapPacket packet;  // bytes: of the stream's
    Ends ends;
    std::uint8_t lane = 0;
    std::chrono::nanoseconds arrived{};
  };
  // Packets of one interface and direction, which come in order of time by themselves.
  struct Stream {
    std::uint32_t interface = 0;
    PacketDirection direction = PacketDirection::kUnknown;
    std::deque<Held> held;
    HeldBytes bytes;
  };

  static Ends EndsOf(const Packet* headers);
  const Entry* Lookup(const Ends& ends, PacketDirection direction, std::int64_t wall_ns) const;
  const Entry* At(const Key& key, std::int64_t wall_ns) const;
  const Entry* AtEitherLocal(Key key, std::int64_t wall_ns) const;
  void Evict();
  void Forget(Order* order, Order::iterator entry);
  Stream& StreamOf(const TapPacket& packet);
  Stream* Earliest();
  void ReleaseFirst(Stream* stream, const Sink& sink);

  PacketJoinOptions options_;
  Order live_, ended_;
  absl::flat_hash_map<Key, std::vector<std::pair<Order*, Order::iterator>>, KeyHash> by_key_;
  std::list<Stream> streams_;  // a deque of chunks is moved by no vector
  PacketJoinStats stats_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_PACKET_JOIN_H_
