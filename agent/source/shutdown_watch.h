// SPDX-License-Identifier: Apache-2.0
// ShutdownWatch: holds the shutdown of the host back for as long as logind allows (a "delay"
// inhibitor, InhibitDelayMaxSec), so that something can be done before other processes are ended.
//
//   PrepareForShutdown(true) -> going_down() -> the caller's work -> Release(), or the time is over
//
// Stage: source (edge: the system bus). Thread: one of its own; methods from any, none waits.
// Failure: problem(); without logind it tries again every minute, and nothing is held back.
#ifndef CULPRIT_AGENT_SOURCE_SHUTDOWN_WATCH_H_
#define CULPRIT_AGENT_SOURCE_SHUTDOWN_WATCH_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace culprit {

struct ShutdownWatchOptions {
  std::string address;  // of the bus; empty: the system's
  std::chrono::milliseconds retry = std::chrono::minutes(1);
  std::function<void()> wake;  // the host goes down, or does not any more; any thread
};

class ShutdownWatch {
 public:
  explicit ShutdownWatch(ShutdownWatchOptions options);
  ~ShutdownWatch();
  ShutdownWatch(const ShutdownWatch&) = delete;
  ShutdownWatch& operator=(const ShutdownWatch&) = delete;

  bool going_down() const;
  // The shutdown is being held back now.
  bool holding() const;
  // The work is done.
  void Release();
  // Why no shutdown can be held back; empty: it can.
  std::string problem() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_SHUTDOWN_WATCH_H_
