// SPDX-License-Identifier: Apache-2.0
// LinkWatch: whether the links that attach the kernel programs are still what they were when they
// were made. Stage: source (edge). Thread: one caller. Borrows the descriptors. Failure: a link
// that cannot be asked about counts as gone.
#ifndef CULPRIT_AGENT_SOURCE_LINK_WATCH_H_
#define CULPRIT_AGENT_SOURCE_LINK_WATCH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/source/source.h"

namespace culprit {

class LinkWatch {
 public:
  // What the kernel says of a link now is what it must say later.
  void Add(const std::string& hook, int link_fd);
  // `gone`: once for each link that is not in place any more, and what became of it.
  LinkState Check(
      const std::function<void(const std::string& hook, const std::string& what)>& gone);

 private:
  struct Made {
    std::string hook;
    int fd = -1;
    std::uint32_t link = 0, program = 0;
    std::uint64_t cgroup = 0;  // 0: of no cgroup
    bool gone = false;
  };
  std::vector<Made> made_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_LINK_WATCH_H_
