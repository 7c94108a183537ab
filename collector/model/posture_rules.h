// SPDX-License-Identifier: Apache-2.0
// What a record about SSH must be to be believed: bounded, its enums known. Stage: model. Pure.
// Private to evidence_rules.cc. Thread: any.
#ifndef CULPRIT_COLLECTOR_MODEL_POSTURE_RULES_H_
#define CULPRIT_COLLECTOR_MODEL_POSTURE_RULES_H_

#include "culprit/v1/posture.pb.h"

namespace culprit {

bool IsGood(const v1::Posture& posture);
bool IsGood(const v1::PostureChange& change);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_POSTURE_RULES_H_
