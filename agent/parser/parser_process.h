// SPDX-License-Identifier: Apache-2.0
// The parser process: samples in, observations out. It holds the only code that reads payload, and
// nothing that it could be used for: no user, no capability, no file, no system call but those of
// agent/parser/parser_sandbox.h. Stage: parser (edge: processes). Thread: the only one of the
// process.
#ifndef CULPRIT_AGENT_PARSER_PARSER_PROCESS_H_
#define CULPRIT_AGENT_PARSER_PARSER_PROCESS_H_

#include <string>

#include "agent/names/name_observer.h"
#include "common/result.h"

namespace culprit {

// Together some 5 MB when an attacker fills them.
inline constexpr NameLimits kParserLimits{.max_flows = 8'192, .max_bytes = std::size_t{1} << 20};

// Loads what is needed, then gives up all rights and becomes `user`. Errors: unknown user, or what
// the kernel refused; then the process must end.
Status EnterSandbox(const std::string& user, int parent_pid, int link_fd);

// Answers every batch with at least one reply until the sensor closes the link. Errors: what came
// was no batch, or a broken link.
Status ServeSensor(int link_fd);

}  // namespace culprit

#endif  // CULPRIT_AGENT_PARSER_PARSER_PROCESS_H_
