// SPDX-License-Identifier: Apache-2.0
// The command line of a daemon, as far as it decides the configuration: -f, -o, -p, -h. Stage:
// posture, pure. Thread: values.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_COMMAND_H_
#define CULPRIT_AGENT_POSTURE_SSHD_COMMAND_H_

#include <string>
#include <string_view>
#include <vector>

#include "agent/posture/sshd_config.h"

namespace culprit {

// `command`: the program and its arguments; sshd's defaults of an empty one.
SshdParseOptions OptionsOfCommand(const std::vector<std::string>& command);

// Program and arguments of /proc/PID/cmdline. A listening sshd writes its title over it ("sshd:
// /usr/sbin/sshd -D [listener] 0 of 10-100 startups"), where an option's blanks and the blanks
// between options look alike: what follows -o is taken up to the next word that begins with '-'.
std::vector<std::string> SshdArguments(std::string_view cmdline);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_COMMAND_H_
