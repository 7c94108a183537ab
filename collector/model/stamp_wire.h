// SPDX-License-Identifier: Apache-2.0
// The collector's stamp as it stands in the journal (culprit.internal.v1.Stamp).
// Stage: model. Thread: pure. Failure: parsing is total on any bytes.
#ifndef CULPRIT_COLLECTOR_MODEL_STAMP_WIRE_H_
#define CULPRIT_COLLECTOR_MODEL_STAMP_WIRE_H_

#include <string>
#include <string_view>

#include "collector/model/stored.h"
#include "common/result.h"

namespace culprit {

std::string EncodeStamp(const CollectorStamp& stamp);
// Errors: not a Stamp, or identities of a wrong length.
Result<CollectorStamp> DecodeStamp(std::string_view bytes);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_STAMP_WIRE_H_
