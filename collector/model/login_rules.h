// SPDX-License-Identifier: Apache-2.0
// Which records about logins can be used: part of evidence_rules.h. Stage: model. Pure. Thread:
// any.
#ifndef CULPRIT_COLLECTOR_MODEL_LOGIN_RULES_H_
#define CULPRIT_COLLECTOR_MODEL_LOGIN_RULES_H_

#include "culprit/v1/login.pb.h"

namespace culprit {

// An id, a kind that is known, times that an int64 holds, an address of 4 or 16 bytes or none, text
// that is printable ASCII and short, few parts.
bool IsGoodLogin(const v1::Login& login);
bool IsGoodFailure(const v1::LoginFailure& failure);
bool IsGoodSession(const v1::Session& session);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_LOGIN_RULES_H_
