// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/held_bytes.h"

#include <algorithm>

namespace culprit {

std::string_view HeldBytes::Push(std::string_view bytes) {
  if (chunks_.empty() || chunks_.back().size - chunks_.back().used < bytes.size()) {
    Chunk& fresh = chunks_.emplace_back();
    fresh.size = std::max(bytes.size(), kChunkBytes);
    fresh.bytes.reset(new char[fresh.size]);  // make_unique would fill it with zeros
  }
  Chunk& chunk = chunks_.back();
  char* at = chunk.bytes.get() + chunk.used;
  bytes.copy(at, bytes.size());
  chunk.used += bytes.size();
  ++chunk.held;
  return {at, bytes.size()};
}

void HeldBytes::PopOldest() {
  if (--chunks_.front().held == 0) chunks_.pop_front();
}

}  // namespace culprit
