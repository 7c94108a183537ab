// SPDX-License-Identifier: Apache-2.0
// Spend: bytes by the way they took, in all and of the last hour, for a group of processes or a
// host. WayBook: the ways of one host by number.
// Stage: detect. Pure. Thread: one caller. Bounded: 320 bytes a way that was used, of which there
// are at most kMaxWays; further ones count as unknown. Time may stand still or step back: what is
// older than the newest is counted at the newest.
#ifndef CULPRIT_COLLECTOR_DETECT_SPEND_H_
#define CULPRIT_COLLECTOR_DETECT_SPEND_H_

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "collector/cost/route.h"
#include "common/time.h"

namespace culprit {

struct WayBytes {
  std::uint32_t way = 0;
  std::uint64_t tx = 0, rx = 0;
};

class Spend {
 public:
  void Add(std::uint32_t way, WallTime at, std::uint64_t tx, std::uint64_t rx);
  // From the five minutes that `first` is in up to now, as far as the last hour goes.
  std::vector<WayBytes> Since(WallTime first) const;
  std::vector<WayBytes> LastHour(WallTime at) const;
  std::vector<WayBytes> Totals() const;

 private:
  static constexpr std::size_t kSlots = 12;
  static constexpr std::int64_t kSlotSeconds = 300;
  struct Slot {
    std::int64_t number = 0;  // of five minutes since 1970
    std::uint64_t tx = 0, rx = 0;
  };
  struct Way {
    WayBytes total;
    std::array<Slot, kSlots> slots{};
  };
  std::vector<WayBytes> From(std::int64_t slot) const;

  std::vector<Way> ways_;  // few
  std::int64_t newest_ = 0;
};

// `sums` and what `now` has more than `before`, by way. A sum that stepped back began anew.
void AddDifference(const std::vector<WayBytes>& now, const std::vector<WayBytes>& before,
                   std::vector<WayBytes>* sums);

class WayBook {
 public:
  static constexpr std::size_t kMaxWays = 256;
  WayBook();
  std::uint32_t NumberOf(const Route& route);
  const Route& At(std::uint32_t way) const { return routes_[way]; }

 private:
  std::vector<Route> routes_;  // 0: the unknown one
  std::map<Route, std::uint32_t> numbers_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_SPEND_H_
