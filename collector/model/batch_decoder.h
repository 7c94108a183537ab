// SPDX-License-Identifier: Apache-2.0
// Unpacks a stored frame: inflates its payload, parses the EvidenceBatch, turns flow columns into rows and boot times
// into wall times. Total on any bytes: what makes no sense is counted and passed over, never an error, because the
// frame is evidence already.
// Stage: model. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_MODEL_BATCH_DECODER_H_
#define CULPRIT_COLLECTOR_MODEL_BATCH_DECODER_H_

#include "collector/model/decoded_frame.h"

namespace culprit {

DecodedFrame DecodeStoredFrame(const StoredFrame& stored);

// Of `boot_ns` under `clock`. Times outside what an int64 of nanoseconds holds are clamped.
WallTime BootToWall(const ClockPair& clock, std::uint64_t boot_ns);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_BATCH_DECODER_H_
