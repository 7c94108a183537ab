// SPDX-License-Identifier: Apache-2.0
// ContactBook: which packets are the beginning of a first contact: a connection between two
// addresses that had none before, as far as is remembered. They have room of their own in the ring,
// so that a relay cannot push out how it tried its first destinations. Stage: ring. Pure. Thread:
// one caller. Bounds: kMaxPairs pairs and kMaxOpen connections, the oldest forgotten first; kBurst
// first contacts at once and kPerSecond on the long run, so that a scan does not take the room of
// all others.
#ifndef CULPRIT_AGENT_RING_CONTACT_BOOK_H_
#define CULPRIT_AGENT_RING_CONTACT_BOOK_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <chrono>
#include <cstdint>
#include <deque>

#include "agent/model/packet.h"

namespace culprit {

class ContactBook {
 public:
  static constexpr std::uint32_t kFirstBytes = 8U << 10;  // of a connection, as kept
  static constexpr std::size_t kMaxPairs = 16'384, kMaxOpen = 4096;
  static constexpr double kBurst = 512, kPerSecond = 4;

  // `bytes`: as much of the packet as is kept. `now` does not go back.
  bool Begins(const Packet& headers, std::size_t bytes, std::chrono::nanoseconds now);

 private:
  bool IsNew(const Packet& headers, std::chrono::nanoseconds now);

  absl::flat_hash_set<std::uint64_t> pairs_;
  std::deque<std::uint64_t> pair_order_;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> open_;  // connection -> bytes left
  std::deque<std::uint64_t> open_order_;
  double tokens_ = kBurst;
  std::chrono::nanoseconds filled_{};
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_CONTACT_BOOK_H_
