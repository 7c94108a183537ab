// SPDX-License-Identifier: Apache-2.0
// State of the flows that the observer of names looks at: bounded in number and bytes; the one that
// was silent longest goes first. Stage: names. Pure: the time is that of packets. Thread: one
// caller an object.
#ifndef CULPRIT_AGENT_NAMES_FLOW_TABLE_H_
#define CULPRIT_AGENT_NAMES_FLOW_TABLE_H_

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <list>
#include <memory>
#include <string_view>

#include "agent/model/packet.h"
#include "agent/names/quic.h"
#include "agent/names/stream_head.h"
#include "common/bytes.h"

namespace culprit {

// The same for both directions.
using NameFlowKey = std::array<char, 37>;
NameFlowKey KeyOf(const Packet& packet);
// Which of a flow's two directions the packet goes: 0 or 1.
std::size_t DirectionOf(const Packet& packet);

struct StreamDirection {
  std::unique_ptr<StreamHead> head;  // made once one segment was not enough
  std::uint32_t first = 0;           // sequence number of the connection's first byte, if `started`
  std::uint32_t start = 0;           // of the first byte that is looked at
  std::size_t taken = 0;             // of what is in order: messages that were told
  std::size_t cut = SIZE_MAX;        // offset from which on the capture had no more
  std::uint16_t segments = 0;
  bool started = false;  // `start` is known
  bool done = false;
  bool inside = false;  // what follows a request to a proxy
};

struct NameFlow {
  NameFlowKey key{};
  std::int64_t last_ns = 0;
  bool decided = false;  // nothing is looked at any more
  std::array<StreamDirection, 2> direction;
  std::unique_ptr<QuicInitials> quic;
  std::uint16_t datagrams = 0;

  std::size_t held() const;
  void Decide();  // frees what was held
};

class NameFlowTable {
 public:
  NameFlowTable(std::size_t max_flows, std::size_t max_bytes, std::int64_t idle_ns)
      : max_flows_(max_flows), max_bytes_(max_bytes), idle_ns_(idle_ns) {}

  NameFlow* Find(const NameFlowKey& key, std::int64_t at_ns);
  // Makes room first. The reference is good until the next call.
  NameFlow& FindOrAdd(const NameFlowKey& key, std::int64_t at_ns);
  // To be called when a flow's held() was `before`.
  void Account(const NameFlow& flow, std::size_t before) { bytes_ += flow.held() - before; }

  std::size_t flows() const { return flows_.size(); }
  std::size_t bytes() const { return bytes_; }
  std::uint64_t undecided_dropped() const { return undecided_dropped_; }

 private:
  struct Hash {
    std::size_t operator()(const NameFlowKey& key) const noexcept {
      std::uint64_t h = 0;
      for (const std::size_t at : std::initializer_list<std::size_t>{0, 8, 16, 24, 29}) {
        h = (h ^ LoadLe<std::uint64_t>(key.data() + at)) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 32;
      }
      return MixBits(h);
    }
  };
  using List = std::list<NameFlow>;  // the one that was used last is in front
  bool IsIdle(const NameFlow& flow, std::int64_t at_ns) const;
  void DropOldest();

  std::size_t max_flows_, max_bytes_;
  std::int64_t idle_ns_;
  List flows_;
  absl::flat_hash_map<NameFlowKey, List::iterator, Hash> index_;
  std::size_t bytes_ = 0;
  std::uint64_t undecided_dropped_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_FLOW_TABLE_H_
