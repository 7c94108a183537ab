// SPDX-License-Identifier: Apache-2.0
// Growing delays with jitter, so that a fleet does not come back in step. Stage: process. Pure:
// randomness is passed in.
#ifndef CULPRIT_AGENT_PROCESS_BACKOFF_H_
#define CULPRIT_AGENT_PROCESS_BACKOFF_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace culprit {

class Backoff {
 public:
  static constexpr std::chrono::milliseconds kFirst{200}, kMost{30'000};

  // Between half and all of a delay that doubles with each call. `random` is any 32 bits.
  std::chrono::milliseconds Next(std::uint32_t random) {
    const std::int64_t whole = delay_.count(), half = whole / 2;
    const std::int64_t out = half + static_cast<std::int64_t>(random) % (whole - half + 1);
    delay_ = std::min(delay_ * 2, kMost);
    return std::max(std::chrono::milliseconds(out), kFirst);
  }
  void Reset() { delay_ = kFirst; }

 private:
  std::chrono::milliseconds delay_ = kFirst;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_PROCESS_BACKOFF_H_
