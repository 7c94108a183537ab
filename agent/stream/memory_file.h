// SPDX-License-Identifier: Apache-2.0
// Bytes that are passed to another process as a descriptor (memfd), because no datagram holds them.
// Stage: stream (edge: memory files). Thread: any.
#ifndef CULPRIT_AGENT_STREAM_MEMORY_FILE_H_
#define CULPRIT_AGENT_STREAM_MEMORY_FILE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

// Sealed: whoever gets it can read it and nothing else.
Result<UniqueFd> MakeMemoryFile(std::string_view bytes);
// All of it. Errors: more than `most`.
Result<std::string> ReadMemoryFile(int fd, std::size_t most);

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_MEMORY_FILE_H_
