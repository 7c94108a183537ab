// SPDX-License-Identifier: Apache-2.0
// The operator's working hours: whether somebody is there to have done it.
// Stage: detect. Pure: the rules of a zone are read when it is loaded, not when it is asked.
// Thread: values, any. Failure: a zone that is not known is an error of the configuration.
#ifndef CULPRIT_COLLECTOR_DETECT_WORK_HOURS_H_
#define CULPRIT_COLLECTOR_DETECT_WORK_HOURS_H_

#include <absl/time/time.h>

#include <optional>
#include <string>

#include "collector/detect/thresholds.h"
#include "common/time.h"

namespace culprit {

class WorkHours {
 public:
  WorkHours() = default;  // no hour says anything
  WorkHours(const HoursSettings& settings, absl::TimeZone zone)
      : settings_(settings), zone_(zone) {}

  // "02:14 on Sunday in Asia/Kolkata", where that is outside; nullopt within, and where no zone is
  // set.
  std::optional<std::string> OffHours(WallTime at) const;

 private:
  HoursSettings settings_;
  std::optional<absl::TimeZone> zone_;
};

// Reads the system's rules of the zone (/usr/share/zoneinfo); to be called by who wires.
// nullopt: a zone is named and not known.
std::optional<WorkHours> LoadWorkHours(const HoursSettings& settings);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_WORK_HOURS_H_
