// SPDX-License-Identifier: Apache-2.0
// What is left to the parser process once it has begun to read what others wrote: memory up to a
// bound, and a socket to the sensor. Stage: parser (edge: processes), in the parser process, which
// has one thread. Failure: an error, and then the process must end.
#ifndef CULPRIT_AGENT_PARSER_PARSER_SANDBOX_H_
#define CULPRIT_AGENT_PARSER_PARSER_SANDBOX_H_

#include <cstddef>

#include "common/result.h"

namespace culprit {

inline constexpr std::size_t kParserDataBytes = std::size_t{16} << 20;  // heap and other private
inline constexpr std::size_t kParserStackBytes = std::size_t{1} << 20;

// No new descriptor, no file grows, no process is made, bounded memory; runs behind what the host
// is for.
Status LimitResources();

// From here on: memory of its own that is never executable, datagrams to and from `link_fd`, the
// clock, random numbers, the end. Any other system call kills the process (SIGSYS). After
// no_new_privs.
Status InstallFilter(int link_fd);

}  // namespace culprit

#endif  // CULPRIT_AGENT_PARSER_PARSER_SANDBOX_H_
