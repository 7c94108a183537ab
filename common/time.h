// SPDX-License-Identifier: Apache-2.0
// The two time bases and the one type that converts between them.
// Stage: common. Thread: values. Pure stages take times from the data; only edges read a clock.
#ifndef CULPRIT_COMMON_TIME_H_
#define CULPRIT_COMMON_TIME_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace culprit {

// CLOCK_BOOTTIME of one boot of one host: monotonic, counts suspend. Comparable only within a boot.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock, duration>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;
// Nanoseconds since 1970-01-01 UTC as some host believes it.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

constexpr BootTime BootTimeFromNs(std::uint64_t ns) {
  return BootTime(std::chrono::nanoseconds(static_cast<std::int64_t>(ns)));
}
constexpr std::uint64_t ToNs(BootTime t) {
  return static_cast<std::uint64_t>(t.time_since_epoch().count());
}
constexpr WallTime WallTimeFromNs(std::int64_t ns) { return WallTime(std::chrono::nanoseconds(ns)); }
constexpr std::int64_t ToNs(WallTime t) { return t.time_since_epoch().count(); }

// Whether the kernel says that the wall clock is disciplined (adjtimex STA_UNSYNC).
enum class ClockSync : std::uint8_t { kUnknown = 0, kSynced = 1, kUnsynced = 2 };

// Both clocks of one host, read together.
struct ClockPair {
  BootTime boot;
  WallTime wall;
  ClockSync sync = ClockSync::kUnknown;

  constexpr WallTime ToWall(BootTime t) const {
    return wall + std::chrono::duration_cast<std::chrono::nanoseconds>(t - boot);
  }
};

// For edges. Never fails on Linux.
BootTime ReadBootClock();
WallTime ReadWallClock();
ClockPair ReadClockPair();

// "2026-03-01T02:03:04.567Z": UTC, milliseconds, zone shown.
std::string FormatUtc(WallTime t);

}  // namespace culprit

#endif  // CULPRIT_COMMON_TIME_H_
