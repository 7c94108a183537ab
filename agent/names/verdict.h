// SPDX-License-Identifier: Apache-2.0
// What a dissector says about the beginning of a stream. Stage: names. Thread: values.
#ifndef CULPRIT_AGENT_NAMES_VERDICT_H_
#define CULPRIT_AGENT_NAMES_VERDICT_H_

#include <cstdint>

namespace culprit {

enum class Verdict : std::uint8_t {
  kMore = 0,   // may be it, but is not whole
  kFound = 1,  // whole, and the result is set
  kOther = 2,  // something else; more bytes will not change that
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_VERDICT_H_
