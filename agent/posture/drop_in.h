// SPDX-License-Identifier: Apache-2.0
// Where a fix has to stand so that sshd obeys it: the first value wins, so a line that is appended
// changes nothing, or lands in a Match block. Stage: posture, pure. Thread: values.
#ifndef CULPRIT_AGENT_POSTURE_DROP_IN_H_
#define CULPRIT_AGENT_POSTURE_DROP_IN_H_

#include <string>
#include <vector>

#include "agent/posture/posture.h"

namespace culprit {

struct DropIn {
  std::string path;
  std::string note;  // what the configuration needs, so that the file is read first; "": nothing
};
DropIn DropInFor(const SshdConfig& config);

// All fixes in one text: plain lines first, then Match blocks, each once.
std::string AllFixes(const std::vector<PostureFinding>& findings);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_DROP_IN_H_
