// SPDX-License-Identifier: Apache-2.0
// What the collector keeps: the agent's claim (an exact frame) under the collector's stamp, two types that are never mixed.
// Stage: model. Thread: values.
#ifndef CULPRIT_COLLECTOR_MODEL_STORED_H_
#define CULPRIT_COLLECTOR_MODEL_STORED_H_

#include <cstdint>
#include <string>

#include "common/frame.h"
#include "common/ids.h"
#include "common/sha256.h"
#include "common/time.h"

namespace culprit {

// Log sequence number: position in the collector's journal, starts at 1, without holes.
using Lsn = std::uint64_t;

enum class SequenceState : std::uint8_t {
  kInOrder = 1,
  kFirst = 2,
  kGap = 3,
  kFork = 4,
  kRollback = 5,
};

// Values as in culprit.internal.v1.Stamp.
struct CollectorStamp {
  WallTime received;
  Uuid agent_id;
  std::string agent_name;
  std::string peer;
  Sha256Digest certificate_sha256{};
  SequenceState sequence = SequenceState::kInOrder;
  std::uint64_t missing_from_seq = 0, missing_to_seq = 0;
  std::int64_t skew_ns = 0;
  std::string stream_reason;
};

struct StoredFrame {
  Lsn lsn = 0;
  CollectorStamp stamp;
  Frame frame;  // the agent's, byte for byte
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_STORED_H_
