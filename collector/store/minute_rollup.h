// SPDX-License-Identifier: Apache-2.0
// Per-minute activity of a process: what `top` over long windows is answered from.
// Stage: store. Pure. Thread: values. Bytes and attempts are exact; destinations are exact up to 32, then estimated
// (HyperLogLog, 256 registers, standard error 6.5 %).
#ifndef CULPRIT_COLLECTOR_STORE_MINUTE_ROLLUP_H_
#define CULPRIT_COLLECTOR_STORE_MINUTE_ROLLUP_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/store/prorate.h"

namespace culprit {

// A set of addresses that can be merged and counted in bounded space.
class DistinctSketch {
 public:
  void Insert(const IpAddress& address);
  void Merge(const DistinctSketch& other);
  std::uint64_t Count() const;
  std::string Encode() const;
  static DistinctSketch Decode(std::string_view bytes);  // total: nonsense is an empty set

 private:
  void InsertHash(std::uint64_t hash);
  void Spread();
  std::vector<std::uint64_t> exact_;      // sorted; while small
  std::vector<std::uint8_t> registers_;   // 256 once spread
};

struct MinuteKey {
  std::uint32_t host = 0;
  std::int64_t minute = 0;  // since 1970
  std::uint64_t process = 0;
  friend auto operator<=>(const MinuteKey&, const MinuteKey&) = default;
};

struct MinuteActivity {
  std::uint64_t started = 0;  // flows that began
  std::uint64_t active = 0;   // flows with a record
  std::uint64_t tx = 0, rx = 0;
  std::uint64_t attempts = 0, failed = 0;
  std::uint64_t crafted = 0;  // packets sent through raw and packet sockets
  bool is_agent = false;
  DistinctSketch destinations;
  IpAddress busiest;
  std::uint64_t busiest_bytes = 0;
};

inline constexpr std::int64_t kMinuteNs = 60'000'000'000;
std::int64_t MinuteOf(WallTime t);
Window MinuteWindow(std::int64_t minute);
// First and last minute that a row of (t0, t1] is spread over; rows longer than two hours count in their last minute.
struct MinuteSpan {
  std::int64_t first = 0, last = 0;
};
MinuteSpan MinutesOf(WallTime t0, WallTime t1);
// A row's share of `minute`, one of MinutesOf(t0, t1): the shares add up to the whole.
std::uint64_t MinuteShare(std::uint64_t value, WallTime t0, WallTime t1, MinuteSpan span,
                          std::int64_t minute);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_MINUTE_ROLLUP_H_
