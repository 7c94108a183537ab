// SPDX-License-Identifier: Apache-2.0
// Programs by their path: which are tools that do what their arguments say, and which belong to the
// system. Stage: detect. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_DETECT_PROGRAMS_H_
#define CULPRIT_COLLECTOR_DETECT_PROGRAMS_H_

#include <string_view>

namespace culprit {

// An interpreter, a shell, or a tool like curl and ssh: the executable says nothing of what it is
// used for.
bool IsGeneralTool(std::string_view exe);
// Where packages put programs and only root writes: a new file under an old path is an upgrade.
bool IsSystemPath(std::string_view exe);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_PROGRAMS_H_
