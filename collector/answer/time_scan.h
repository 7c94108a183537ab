// SPDX-License-Identifier: Apache-2.0
// Points in time as people and programs write them into abuse reports, and what each may mean.
//
// Stage: answer. Pure. Thread: values. Failure: none; what is no time is passed over. Total on any
// bytes: work is linear in the text.
#ifndef CULPRIT_COLLECTOR_ANSWER_TIME_SCAN_H_
#define CULPRIT_COLLECTOR_ANSWER_TIME_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/time.h"

namespace culprit {

struct ZoneName {
  std::string name;                   // as written: "PDT", "+05:30"; empty = none
  std::vector<std::int32_t> minutes;  // east of UTC; several where the name is ambiguous
  bool known() const { return !minutes.empty(); }
};

// As written. A date may lack its year, a time its date, a date its time.
struct WrittenTime {
  std::size_t begin = 0, end = 0;  // in the text
  std::string text;
  bool has_date = false, has_clock = false, has_seconds = false;
  std::int32_t year = 0;                 // 0 = not written
  std::int32_t month = 0, day = 0;       // month 0 with a date: see first, second
  std::int32_t first = 0, second = 0;    // 3/4/2026: month and day in either order
  std::int32_t seconds = 0;              // of the day
  std::optional<std::int64_t> epoch_ns;  // written as seconds (ms, us, ns) since 1970
  ZoneName zone;
};

// All of them, in order.
std::vector<WrittenTime> ScanTimes(std::string_view text);
// A zone at the beginning of `text`, blanks before it allowed; `*used` = how far it reaches.
ZoneName ScanZone(std::string_view text, std::size_t* used);

// One thing that a written time may mean: anywhere in [from, to].
struct Reading {
  WallTime from, to;
  // How far from what is written and usual, in the points of match.h; 0 = as written.
  double doubt = 0;
  std::string why;  // "as written", "read as UTC-07:00", …
};

struct ReadingContext {
  WallTime now;           // a report speaks of the past
  ZoneName default_zone;  // what the report says of all its times
  // Of times without a date: the dates in the report.
  std::vector<WrittenTime> dates;
};
// Least doubtful first; at most 200. Empty where it is no time of the last years.
std::vector<Reading> ReadingsOf(const WrittenTime& written, const ReadingContext& context);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ANSWER_TIME_SCAN_H_
