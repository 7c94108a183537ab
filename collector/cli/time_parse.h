// SPDX-License-Identifier: Apache-2.0
// Points in time as an operator writes them.
// Stage: cli. Thread: pure but for the local zone (localtime_r), `now` is given.
#ifndef CULPRIT_COLLECTOR_CLI_TIME_PARSE_H_
#define CULPRIT_COLLECTOR_CLI_TIME_PARSE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "collector/format/message_json.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit::cli {

enum class Zone { kUtc, kLocal };

struct ParsedTime {
  WallTime time;
  bool zone_assumed = false;  // the text had none: `zone` was taken, and the operator is told
};

// "2026-03-01T02:03:04.5Z", "2026-03-01 02:03:04 +05:30", "2026-03-01 19:03 PDT", "2026-03-01",
// "02:03" (the latest such time that is not after `now`), "10m ago", "10m", "now". Zones: Z, UTC,
// GMT, ±HH:MM, ±HHMM, and the North American names of RFC 5322, which AWS's reports use; without a
// zone, `zone`.
Result<ParsedTime> ParseTime(std::string_view text, WallTime now, Zone zone);

// "2026-03-01 02:03:04Z" or, in local time, "2026-03-01 07:33:04+05:30". 0 = "-".
std::string FormatTime(std::int64_t ns, Zone zone);
// The same without the date.
std::string FormatClock(std::int64_t ns, Zone zone);
// RFC 3339 in UTC with nanoseconds where there are any: for machines.
using culprit::FormatRfc3339;

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_TIME_PARSE_H_
