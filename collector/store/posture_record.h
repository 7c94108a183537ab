// SPDX-License-Identifier: Apache-2.0
// What agents said about SSH, as the index keeps it. Stage: store. Thread: values.
#ifndef CULPRIT_COLLECTOR_STORE_POSTURE_RECORD_H_
#define CULPRIT_COLLECTOR_STORE_POSTURE_RECORD_H_

#include <cstdint>
#include <optional>

#include "common/time.h"
#include "culprit/v1/posture.pb.h"

namespace culprit {

struct PostureRecord {
  std::uint32_t host = 0;
  WallTime at;
  v1::Posture posture;
};

struct PostureChangeRecord {
  std::uint32_t host = 0;
  WallTime at;
  v1::PostureChange change;
};

struct PostureChangePredicate {
  std::uint32_t host = 0;
  std::optional<WallTime> from, to;  // [from, to)
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_POSTURE_RECORD_H_
