// SPDX-License-Identifier: Apache-2.0
// How long to wait after a failure. Stage: alert. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_ALERT_RETRY_DELAY_H_
#define CULPRIT_COLLECTOR_ALERT_RETRY_DELAY_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace culprit {

// A second, doubled with each further failure up to `max`, of which between half and all is waited,
// so that many do not come back at once. Never less than the target asked for. `failures` >= 1,
// `chance` from 0 to 1.
inline std::chrono::milliseconds RetryDelay(std::uint64_t failures, std::chrono::milliseconds max,
                                            std::chrono::milliseconds asked, double chance) {
  const std::int64_t doubled = std::int64_t{1000} << std::min<std::uint64_t>(failures - 1, 30);
  const auto whole = static_cast<double>(std::min<std::int64_t>(doubled, max.count()));
  const std::chrono::milliseconds delay(static_cast<std::int64_t>(whole * (0.5 + chance / 2)));
  return std::max(delay, asked);
}

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_RETRY_DELAY_H_
