// SPDX-License-Identifier: Apache-2.0
// PacketFetches: answers what a collector asks of the packet ring, window by window.
//
//   Ask() -> own thread: freeze once, read what is frozen, make pcapng -> Take()
//
// A fetch is a query and the segments frozen for it (hard links, DIR/frozen/fetch-ID/). Its bytes
// follow from these two alone, so that any offset can be asked for again, also after a restart;
// what goes on where it stopped is not read again. A fetch is forgotten when it is released, or
// when nobody has asked for kIdle.
//
// Stage: ring (edge: disk). Thread: one of its own; all methods from one other, none of which
// waits. Memory: the readers of kMaxLive fetches, kMaxAnswers parts. Failure: every question is
// answered, with a fault if need be; what a stop interrupts is not.
#ifndef CULPRIT_AGENT_RING_PACKET_FETCHES_H_
#define CULPRIT_AGENT_RING_PACKET_FETCHES_H_

#include <chrono>
#include <memory>
#include <vector>

#include "agent/model/control.h"
#include "agent/ring/ring.h"
#include "common/pcapng.h"
#include "common/result.h"

namespace culprit {

class PacketFetches {
 public:
  static constexpr std::size_t kMaxLive = 2;    // fetches that are read at a time
  static constexpr std::size_t kMaxFrozen = 8;  // fetches that hold segments
  static constexpr std::size_t kMaxAsked = 8, kMaxAnswers = 4;
  static constexpr std::chrono::minutes kIdle{10};

  // Borrows the ring, which must outlive it. Fetches that a run before left behind are taken over.
  static Result<std::unique_ptr<PacketFetches>> Start(PacketRing* ring, PcapngSection section);
  ~PacketFetches();
  PacketFetches(const PacketFetches&) = delete;
  PacketFetches& operator=(const PacketFetches&) = delete;

  // Readable when Take() has something to give.
  int poll_fd() const;
  void Ask(PacketFetch fetch);
  std::vector<ControlAnswer> Take();
  // Fetches answered to their end, and questions that were refused.
  std::uint64_t completed() const;
  std::uint64_t refused() const;

 private:
  class Impl;
  explicit PacketFetches(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_PACKET_FETCHES_H_
