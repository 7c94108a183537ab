// SPDX-License-Identifier: Apache-2.0
// Logins and sessions of a batch as protobuf. Stage: model, part of wire.h. Thread: any. Cannot
// fail.
#ifndef CULPRIT_AGENT_MODEL_WIRE_LOGIN_H_
#define CULPRIT_AGENT_MODEL_WIRE_LOGIN_H_

#include "agent/model/record.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit {

void WriteLogins(const RecordBatch& batch, v1::EvidenceBatch* out);

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_WIRE_LOGIN_H_
