// SPDX-License-Identifier: Apache-2.0
// Container id from a cgroup name. Stage: enrich. Pure.
#ifndef CULPRIT_AGENT_ENRICH_CONTAINER_ID_H_
#define CULPRIT_AGENT_ENRICH_CONTAINER_ID_H_

#include <string>
#include <string_view>

namespace culprit {

// The 64 lower-case hex digits that Docker, containerd (CRI), CRI-O, Podman and Kubernetes put into the name of a
// container's cgroup, wherever they are on the path; the deepest wins. Empty: not a container's cgroup.
std::string ContainerIdFromCgroup(std::string_view cgroup);

}  // namespace culprit

#endif  // CULPRIT_AGENT_ENRICH_CONTAINER_ID_H_
