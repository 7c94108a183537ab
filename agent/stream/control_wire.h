// SPDX-License-Identifier: Apache-2.0
// Requests of the collector and the answers, between protobuf and values. The request has come
// through the sender and is not believed. Stage: stream. Pure. Thread: any. Failure: ReadControl is
// total: what makes no sense becomes an answer that says so.
#ifndef CULPRIT_AGENT_STREAM_CONTROL_WIRE_H_
#define CULPRIT_AGENT_STREAM_CONTROL_WIRE_H_

#include <string>
#include <variant>

#include "agent/model/control.h"
#include "culprit/v1/control.pb.h"

namespace culprit {

// Requests above are not passed on.
inline constexpr std::size_t kMaxControlBytes = 8192;

std::variant<ControlQuestion, ControlAnswer> ReadControl(const v1::ControlRequest& request);
// Without the data of a part.
v1::ControlReply WriteControl(const ControlAnswer& answer);
// Where the data of a part belongs; null: the reply has no place for any.
std::string* MutableData(v1::ControlReply* reply);
// Whether nothing of the same request follows.
bool EndsAnswer(const v1::ControlReply& reply);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_CONTROL_WIRE_H_
