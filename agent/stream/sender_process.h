// SPDX-License-Identifier: Apache-2.0
// Starts the sender program with one end of the link as descriptor 3, and nothing else of the
// sensor's. Stage: stream (edge: processes). Thread: the sensor's. Kills and reaps its child when
// destroyed.
#ifndef CULPRIT_AGENT_STREAM_SENDER_PROCESS_H_
#define CULPRIT_AGENT_STREAM_SENDER_PROCESS_H_

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

inline constexpr int kLinkFd = 3;

class SenderProcess {
 public:
  SenderProcess() = default;
  SenderProcess(const SenderProcess&) = delete;
  SenderProcess& operator=(const SenderProcess&) = delete;
  ~SenderProcess() { Kill(); }

  Status Start(const std::string& program, int link_end);
  // -1 = not running.
  int pid() const { return pid_; }
  // Readable when the process has ended.
  int pid_fd() const { return pid_fd_.get(); }
  // Reaps it if it has ended; then returns true and how it ended.
  bool Ended(std::string* how);
  void Kill();

 private:
  int pid_ = -1;
  UniqueFd pid_fd_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_STREAM_SENDER_PROCESS_H_
