// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/held_bytes.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>

namespace culprit {
namespace {

TEST(HeldBytesTest, WhatIsHeldStaysAsItWasUntilItIsLetGo) {
  HeldBytes bytes;
  std::deque<std::pair<std::string, std::string_view>> held;
  for (std::size_t i = 0; i < 10'000; ++i) {
    // From nothing to more than a chunk, with several of each in a chunk and at its edges.
    const std::size_t size = i % 997 == 0   ? HeldBytes::kChunkBytes + i % 2
                             : i % 100 == 0 ? 0
                                            : i * 37 % 1'500;
    std::string sent(size, static_cast<char>('a' + i % 26));
    const std::string_view kept = bytes.Push(sent);
    held.emplace_back(std::move(sent), kept);
    while (held.size() > i % 300) {
      ASSERT_EQ(held.front().second, held.front().first) << i;
      bytes.PopOldest();
      held.pop_front();
    }
  }
  for (const auto& [sent, kept] : held) ASSERT_EQ(kept, sent);
}

}  // namespace
}  // namespace culprit
