// SPDX-License-Identifier: Apache-2.0
// PostureWatcher: looks at the SSH of this host when it starts and whenever something of it
// changes.
//
//   fanotify, pidfds, OnListen() --> look (posture_scan.h) --> state, changes with who did it
//
// Stage: posture, edge. Thread: own thread; the public functions belong to the
// sensor's. A look costs some 15 ms and takes at most a tenth of a core, however often files
// change. Failure: where fanotify cannot watch, files are looked at once a second, and the process
// is not known; what cannot be read is in the limits of the state.
#ifndef CULPRIT_AGENT_POSTURE_POSTURE_WATCHER_H_
#define CULPRIT_AGENT_POSTURE_POSTURE_WATCHER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/model/posture_facts.h"
#include "common/result.h"

namespace culprit {

struct PostureReport;

struct PostureNews {
  PostureFacts state;
  std::vector<PostureChangeFacts> changes;
};

struct PostureWatcherStats {
  std::uint64_t looks = 0, look_us = 0;  // CPU time of the thread
  std::uint64_t overflows = 0;           // of fanotify's queue: a look makes them good
};

class PostureWatcher {
 public:
  static Result<std::unique_ptr<PostureWatcher>> Start();
  virtual ~PostureWatcher() = default;

  // Readable when Take() has something.
  virtual int poll_fd() const = 0;
  virtual std::vector<PostureNews> Take() = 0;
  // A process has begun to listen for connections.
  virtual void OnListen(std::uint32_t pid) = 0;
  virtual PostureWatcherStats stats() const = 0;
  // "" or why fanotify does not serve.
  virtual std::string note() const = 0;
};

// For the wire: lists and texts cut to what a frame takes, which is then a limit.
PostureFacts FactsOf(const PostureReport& report);
std::vector<PostureChangeFacts> CompareServers(const PostureFacts& before,
                                               const PostureFacts& after);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_POSTURE_WATCHER_H_
