// SPDX-License-Identifier: Apache-2.0
// Activity by process: from the rows (exact, short windows) or from the minutes (long windows).
// Stage: store. Thread: one query.
#ifndef CULPRIT_COLLECTOR_STORE_ACTIVITY_H_
#define CULPRIT_COLLECTOR_STORE_ACTIVITY_H_

#include <vector>

#include "collector/store/part_scan.h"

namespace culprit {

struct ActivityQuery {
  std::optional<std::uint32_t> host;
  Window window;  // both ends given
  std::size_t max_groups = 0;
  const Cancelled& cancelled;
};

Result<std::vector<ProcessActivity>> ActivityFromRows(const std::vector<SharedPart>& parts,
                                                      const ActivityQuery& query);
Result<std::vector<ProcessActivity>> ActivityFromMinutes(const std::vector<SharedPart>& parts,
                                                         const ActivityQuery& query);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_ACTIVITY_H_
