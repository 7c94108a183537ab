// SPDX-License-Identifier: Apache-2.0
#include "common/time.h"

#include <spdlog/fmt/fmt.h>
#include <sys/timex.h>

#include <ctime>

namespace culprit {
namespace {

std::int64_t ReadNs(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<std::int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

}  // namespace

BootTime ReadBootClock() { return BootTime(std::chrono::nanoseconds(ReadNs(CLOCK_BOOTTIME))); }

WallTime ReadWallClock() { return WallTimeFromNs(ReadNs(CLOCK_REALTIME)); }

ClockPair ReadClockPair() {
  ClockPair pair{ReadBootClock(), ReadWallClock(), ClockSync::kUnknown};
  timex tx{};
  if (adjtimex(&tx) != -1) {
    pair.sync = (tx.status & STA_UNSYNC) != 0 ? ClockSync::kUnsynced : ClockSync::kSynced;
  }
  return pair;
}

std::string FormatUtc(WallTime t) {
  using std::chrono::floor;
  const auto day = floor<std::chrono::days>(t);
  const std::chrono::year_month_day ymd(day);
  const std::chrono::hh_mm_ss hms(floor<std::chrono::milliseconds>(t - day));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(ymd.year()),
                     static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()),
                     hms.hours().count(), hms.minutes().count(), hms.seconds().count(),
                     hms.subseconds().count());
}

}  // namespace culprit
