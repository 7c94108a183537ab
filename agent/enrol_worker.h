// SPDX-License-Identifier: Apache-2.0
// Enrols this host while the agent watches already: install.sh leaves in the file `enrol` beside the
// key what to know the collector by, and a join token where there is one; where the collector could
// not be reached then, or in an image, this goes on trying. Evidence waits in the spool meanwhile.
// Stage: wiring. Thread: one of its own, ended with the object. Failure: a refusal is logged and ends
// it; the file stays, and the next start tries again.
#ifndef CULPRIT_AGENT_ENROL_WORKER_H_
#define CULPRIT_AGENT_ENROL_WORKER_H_

#include <memory>
#include <string>
#include <thread>

#include "agent/enrol_command.h"

namespace culprit {

class EnrolWorker {
 public:
  // nullptr where there is no such file, or a certificate already.
  static std::unique_ptr<EnrolWorker> StartIfAsked(const AgentConfig& config,
                                                   const std::string& version);
  explicit EnrolWorker(EnrolCommand command, std::string file);

 private:
  std::jthread thread_;
};

// Lines NAME=VALUE; names that are not known, and lines that are none, are passed over.
void ReadEnrolFile(std::string_view text, EnrolCommand* command);

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENROL_WORKER_H_
