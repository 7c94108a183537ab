// SPDX-License-Identifier: Apache-2.0
// Which of the processes that listen answer SSH, whatever they are called. An executable is known
// by texts that are in it, so that a renamed sshd is one still. Stage: posture, pure behind
// HostView. Thread: values. Bounded: 2 MiB of an executable, 32 MiB in all.
#ifndef CULPRIT_AGENT_POSTURE_SSH_SERVERS_H_
#define CULPRIT_AGENT_POSTURE_SSH_SERVERS_H_

#include <optional>
#include <string>
#include <vector>

#include "agent/posture/host_view.h"
#include "agent/posture/posture.h"
#include "agent/posture/systemd_unit.h"

namespace culprit {

// `socket`: ssh.socket, where there is one; systemd listens for it.
Result<std::vector<SshServer>> FindSshServers(HostView& host,
                                              const std::optional<SystemdUnit>& socket);

// By the texts in the executable's first bytes.
bool IsSshServer(const std::string& executable);

// The sshd of the host itself: of its package, not in a container, with the configuration that its
// unit names (`unit_command`; empty: sshd's default). nullptr: none runs.
const SshServer* MainServer(const std::vector<SshServer>& servers,
                            const std::vector<std::string>& unit_command);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSH_SERVERS_H_
