// SPDX-License-Identifier: Apache-2.0
#include "common/time.h"

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
  std::string text = "0000-00-00T00:00:00.000Z";
  const auto put = [&text](std::size_t last, long value) {
    for (; value > 0; value /= 10) text[last--] = static_cast<char>('0' + value % 10);
  };
  put(3, static_cast<int>(ymd.year()));
  put(6, static_cast<long>(static_cast<unsigned>(ymd.month())));
  put(9, static_cast<long>(static_cast<unsigned>(ymd.day())));
  put(12, hms.hours().count());
  put(15, hms.minutes().count());
  put(18, hms.seconds().count());
  put(22, hms.subseconds().count());
  return text;
}

}  // namespace culprit
