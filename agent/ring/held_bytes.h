// SPDX-License-Identifier: Apache-2.0
// HeldBytes: bytes of packets that wait, first in, first out, one behind the other in chunks:
// what is held goes through the processor's caches once in and once out, and nothing is kept where
// nothing waits.
// Stage: ring. Pure. Thread: one caller. A view is valid until its PopOldest().
#ifndef CULPRIT_AGENT_RING_HELD_BYTES_H_
#define CULPRIT_AGENT_RING_HELD_BYTES_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string_view>

namespace culprit {

class HeldBytes {
 public:
  static constexpr std::size_t kChunkBytes = 64U << 10;  // a larger packet has one of its size

  // Keeps a copy.
  std::string_view Push(std::string_view bytes);
  // Lets go of the oldest that is kept; there is one.
  void PopOldest();

 private:
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0, used = 0;
    std::size_t held = 0;  // packets
  };

  std::deque<Chunk> chunks_;  // the last takes what comes
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_HELD_BYTES_H_
