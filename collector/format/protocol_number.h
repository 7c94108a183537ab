// SPDX-License-Identifier: Apache-2.0
// Stage: format. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_FORMAT_PROTOCOL_NUMBER_H_
#define CULPRIT_COLLECTOR_FORMAT_PROTOCOL_NUMBER_H_

#include <string>

namespace culprit {

// IPPROTO_* of a FlowRow's protocol ("tcp", "47"); -1 = not one.
int ProtocolNumber(const std::string& protocol);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_FORMAT_PROTOCOL_NUMBER_H_
