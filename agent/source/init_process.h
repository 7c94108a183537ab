// SPDX-License-Identifier: Apache-2.0
// Pid 1 out of /proc, for kernels whose task iterator begins at pid 2: everybody's ancestor must not be missing.
// Stage: source (edge: /proc). Thread: any. What cannot be read is left empty.
#ifndef CULPRIT_AGENT_SOURCE_INIT_PROCESS_H_
#define CULPRIT_AGENT_SOURCE_INIT_PROCESS_H_

#include <cstdint>
#include <string>

#include "bpf/abi.h"

namespace culprit {

// A record without arguments. `key` is what its children say.
culprit_exec ReadInitProcess(const culprit_process_key& key, std::uint64_t boot_ns,
                             const std::string& proc = "/proc");

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_INIT_PROCESS_H_
