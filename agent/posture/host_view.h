// SPDX-License-Identifier: Apache-2.0
// HostView: the processes of a live host that listen for connections. Stage: posture, port;
// ProcView (proc_view.h) is the edge; an image that is not running has none. Thread: one caller.
#ifndef CULPRIT_AGENT_POSTURE_HOST_VIEW_H_
#define CULPRIT_AGENT_POSTURE_HOST_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/net_address.h"
#include "common/result.h"

namespace culprit {

struct ListeningProcess {
  std::int32_t pid = 0;
  std::string exe;  // as the process's own mounts name it, without " (deleted)"
  bool exe_deleted = false;
  bool own_root = false;      // it has another root folder than we: a container
  std::string cmdline;        // with its NULs
  std::int64_t start_ns = 0;  // wall time
  std::vector<Endpoint> listens;
};

class HostView {
 public:
  virtual ~HostView() = default;
  // Processes that hold a listening TCP socket, by pid. A process that ends meanwhile is left out.
  virtual Result<std::vector<ListeningProcess>> Listeners() = 0;
  // The executable's first bytes, also of one that is deleted.
  virtual Result<std::string> ReadExecutable(std::int32_t pid, std::size_t limit) = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_HOST_VIEW_H_
