// SPDX-License-Identifier: Apache-2.0
// The share of a stored row that falls into a time range. Adjoining ranges share a row's counts without loss or excess.
// Stage: store. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_STORE_PRORATE_H_
#define CULPRIT_COLLECTOR_STORE_PRORATE_H_

#include <optional>

#include "collector/store/delta_table.h"

namespace culprit {

// What a query asks: [from, to), either end open.
struct Window {
  std::optional<WallTime> from, to;

  // A row of (t0, t1] has a part in the window; one without duration (t0 == t1) lies in it.
  bool Touches(WallTime t0, WallTime t1) const {
    if (t0 == t1) return (!from || t1 >= *from) && (!to || t1 < *to);
    return (!from || t1 > *from) && (!to || t0 < *to);
  }
  bool Covers(WallTime t0, WallTime t1) const {
    return (!from || t0 >= *from) && (!to || t1 <= *to);
  }
};

// Part of a row of (t0, t1] that lies before `at`, of `value`.
inline std::uint64_t ShareBefore(std::uint64_t value, WallTime t0, WallTime t1, WallTime at) {
  if (at <= t0) return 0;
  if (at >= t1) return value;
  const auto part = static_cast<unsigned __int128>((at - t0).count());
  const auto span = static_cast<unsigned __int128>((t1 - t0).count());
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(value) * part / span);
}

// Of a row that touches the window.
inline std::uint64_t Share(std::uint64_t value, WallTime t0, WallTime t1, const Window& window) {
  if (value == 0 || window.Covers(t0, t1)) return value;
  const std::uint64_t upto = window.to ? ShareBefore(value, t0, t1, *window.to) : value;
  const std::uint64_t before = window.from ? ShareBefore(value, t0, t1, *window.from) : 0;
  return upto > before ? upto - before : 0;
}

inline FlowCounters Share(const FlowCounters& c, WallTime t0, WallTime t1, const Window& w) {
  if (w.Covers(t0, t1)) return c;
  return {Share(c.tx_wire_bytes, t0, t1, w),    Share(c.rx_wire_bytes, t0, t1, w),
          Share(c.tx_payload_bytes, t0, t1, w), Share(c.rx_payload_bytes, t0, t1, w),
          Share(c.tx_packets, t0, t1, w),       Share(c.rx_packets, t0, t1, w),
          Share(c.tx_skb_bytes, t0, t1, w),     Share(c.rx_skb_bytes, t0, t1, w),
          Share(c.retransmitted_bytes, t0, t1, w)};
}

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_PRORATE_H_
