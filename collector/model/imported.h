// SPDX-License-Identifier: Apache-2.0
// Frames that came from files instead of a connection: what stands in their stamp where a live one
// has the peer's address. Their agent is who the files' names say. Stage: model. Thread: values.
#ifndef CULPRIT_COLLECTOR_MODEL_IMPORTED_H_
#define CULPRIT_COLLECTOR_MODEL_IMPORTED_H_

#include <string_view>

namespace culprit {

inline constexpr std::string_view kImportPeer = "import";

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_MODEL_IMPORTED_H_
