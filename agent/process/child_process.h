// SPDX-License-Identifier: Apache-2.0
// Starts a program of ours with one end of a socketpair as descriptor 3, and nothing else of the
// sensor's but stdin, stdout and stderr. Stage: process (edge). Thread: one owner. Kills and reaps
// its child when destroyed.
#ifndef CULPRIT_AGENT_PROCESS_CHILD_PROCESS_H_
#define CULPRIT_AGENT_PROCESS_CHILD_PROCESS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

inline constexpr int kLinkFd = 3;

// Whole datagrams both ways (SOCK_SEQPACKET).
Result<std::pair<UniqueFd, UniqueFd>> MakeLinkPair();
// In the child: whether descriptor 3 can be the link. False: a person has started the program.
bool HasLink();
// Of the kernel's, for delays that differ between hosts; 0 if it has none.
std::uint32_t Random32();

class ChildProcess {
 public:
  ChildProcess() = default;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() { Kill(); }

  Status Start(const std::string& program, const std::vector<std::string>& arguments, int link_end);
  // -1 = not running.
  int pid() const { return pid_; }
  // Readable when the process has ended.
  int pid_fd() const { return pid_fd_.get(); }
  // Reaps it if it has ended; then returns true and how it ended.
  bool Ended(std::string* how);
  void Kill();
  // Leaves it running: whoever adopts orphans reaps it.
  void Abandon();

 private:
  int pid_ = -1;
  UniqueFd pid_fd_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_PROCESS_CHILD_PROCESS_H_
