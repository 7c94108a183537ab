// SPDX-License-Identifier: Apache-2.0
// RecordBatch -> culprit.v1.EvidenceBatch, of what is said about SSH. Private to wire.cc. Stage:
// model. Thread: pure.
#ifndef CULPRIT_AGENT_MODEL_WIRE_POSTURE_H_
#define CULPRIT_AGENT_MODEL_WIRE_POSTURE_H_

#include "agent/model/record.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit {

void WritePosture(const RecordBatch& batch, v1::EvidenceBatch* out);

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_WIRE_POSTURE_H_
