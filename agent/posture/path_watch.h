// SPDX-License-Identifier: Apache-2.0
// PathWatch: which process touched which of the watched paths, by fanotify. A path that does not
// exist is watched by the nearest folder that does. Processes that only open a file are told as
// well, since a lock (chattr) shows by nothing else.
//
// Stage: posture, edge. Thread: one caller. Needs CAP_SYS_ADMIN, Linux 5.9 and a file system whose
// files have handles; where one of them lacks, Watch() says so and the caller looks from time to
// time. Bounded: 16,384 marks.
#ifndef CULPRIT_AGENT_POSTURE_PATH_WATCH_H_
#define CULPRIT_AGENT_POSTURE_PATH_WATCH_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct PathTouch {
  std::string path;
  std::uint32_t pid = 0;
  bool wrote = false;  // false: opened or closed it only
};

class PathWatch {
 public:
  static Result<PathWatch> Open();

  int poll_fd() const { return fd_.get(); }
  // Marks `path`, and the folder that it stands in. `opens`: also who only opens it.
  bool Watch(const std::string& path, bool opens);
  // What happened since; own touches are left out. True: some were lost.
  bool Read(std::vector<PathTouch>* touches);

 private:
  explicit PathWatch(UniqueFd fd) : fd_(std::move(fd)) {}
  bool Mark(const std::string& path, std::uint64_t mask);

  UniqueFd fd_;
  std::unordered_map<std::string, std::string> paths_;  // by file system and handle
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_PATH_WATCH_H_
