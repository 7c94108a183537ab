// SPDX-License-Identifier: Apache-2.0
// The level of the log that InitLog() made, while it is used. Apart from common/log.h, which
// everything includes. Stage: common. Thread: any.
#ifndef CULPRIT_COMMON_LOG_LEVEL_H_
#define CULPRIT_COMMON_LOG_LEVEL_H_

#include <string_view>

#include "common/result.h"

namespace culprit {

// Errors: kInvalidArgument for what is no level of InitLog().
Status SetLogLevel(std::string_view level);

}  // namespace culprit

#endif  // CULPRIT_COMMON_LOG_LEVEL_H_
