// SPDX-License-Identifier: Apache-2.0
// The collector's data directory: made, checked, and locked against a second collector.
// Stage: wiring (edge: files). Thread: one owner.
#ifndef CULPRIT_COLLECTOR_DATA_DIR_H_
#define CULPRIT_COLLECTOR_DATA_DIR_H_

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

// Makes `directory` (mode 0700) and DIRECTORY/lock with this process's pid in it. The lock holds
// until the descriptor is closed. Errors: kFailedPrecondition naming the pid of the holder;
// kPermissionDenied, kResourceExhausted with the remedy.
Result<UniqueFd> LockDataDir(const std::string& directory);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DATA_DIR_H_
