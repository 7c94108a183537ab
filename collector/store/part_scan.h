// SPDX-License-Identifier: Apache-2.0
// Reads the rows of one part that match a predicate, newest first: through the index where the remote address is narrow,
// else through the zone map.
// Stage: store (edge). Thread: any.
#ifndef CULPRIT_COLLECTOR_STORE_PART_SCAN_H_
#define CULPRIT_COLLECTOR_STORE_PART_SCAN_H_

#include <vector>

#include "collector/store/prorate.h"
#include "collector/store/sqlite_part_codec.h"
#include "collector/store/sqlite_part_file.h"

namespace culprit {

class RowVisitor {
 public:
  virtual ~RowVisitor() = default;
  virtual bool Row(const StoredFlow& flow) = 0;  // false = enough
  // All rows to come have a last packet at or before `newest`. False = enough.
  virtual bool More(WallTime newest) {
    (void)newest;
    return true;
  }
};

Window WindowOf(const FlowPredicate& where);
// What a single row can tell; state and min_bytes are of whole flows.
bool RowMatches(const FlowPredicate& where, const FlowDelta& row);
// False if no row of the part can match.
bool PartMayMatch(const FlowPredicate& where, std::uint64_t part, const PartExtent& extent);

// True = the visitor wants more. Errors: kCancelled, kDataLoss (the part is marked as damaged).
Result<bool> ScanPart(const PartFile& part, const FlowPredicate& where, Detail detail,
                      const Cancelled& cancelled, RowVisitor* visitor);

// Marks the part if `error` says that its file is damaged; the error, with the file's name.
Error PartError(const PartFile& part, Error error);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_PART_SCAN_H_
