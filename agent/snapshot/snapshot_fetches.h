// SPDX-License-Identifier: Apache-2.0
// SnapshotFetches: takes the snapshots that a collector asks for, and those that the agent begins
// by itself, and hands them over window by window, while they are still being collected.
//
//   Ask() -> own thread: start the process that collects (once), read what it wrote -> Take()
//
// The process that collects is another program image (culprit-agent itself), so that its memory,
// its crash or its getting stuck is not the sensor's. It goes on when the sensor ends, and the next
// sensor hands over what it writes. What was given is kept until the collector releases it.
//
// Stage: snapshot (edge: files, a process). Thread: one of its own; all methods from one other,
// none of which waits. Memory: kMaxAnswers parts. Disk: `max_bytes` over all bundles. Failure:
// every question is answered, with a fault if need be; what a stop interrupts is not.
#ifndef CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_FETCHES_H_
#define CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_FETCHES_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/model/control.h"
#include "agent/snapshot/own_snapshots.h"
#include "common/result.h"

namespace culprit {

struct SnapshotFetchOptions {
  std::string directory;
  std::string program;  // the process that collects: PROGRAM ARGUMENTS... ID, descriptor 3 = bundle
  std::vector<std::string> arguments;
  std::uint64_t max_bytes = 1ULL << 30;
  std::uint64_t bytes_per_second = 0;  // handed over; 0 = no bound
};

class SnapshotFetches {
 public:
  static constexpr std::size_t kMaxAsked = 8, kMaxAnswers = 4;
  static constexpr std::uint64_t kLeastRoom = 16ULL << 20;  // of a bundle, to begin one
  static constexpr std::chrono::minutes kIdle{60};  // after it, a bundle makes room for another

  static Result<std::unique_ptr<SnapshotFetches>> Start(SnapshotFetchOptions options);
  ~SnapshotFetches();
  SnapshotFetches(const SnapshotFetches&) = delete;
  SnapshotFetches& operator=(const SnapshotFetches&) = delete;

  // Readable when Take() has something to give, or one that the agent began has ended.
  int poll_fd() const;
  // `instance_id` and `hostname` go into a bundle that this begins.
  void Ask(SnapshotFetch fetch, std::string instance_id, std::string hostname);
  std::vector<ControlAnswer> Take();
  // Begins one without being asked; after the one that is being collected, if there is one. The
  // collector is told of it, if it wants to know.
  void Begin(OwnSnapshot wish);
  void Watch(SnapshotWatch watch);

  // Of those: waiting or being collected; and in the spool until the collector has stored them.
  std::uint64_t own_unfinished() const;
  std::uint64_t own_kept() const;
  std::uint64_t own_begun() const;
  std::uint64_t own_dropped() const;  // could not be begun
  // The process that collects; -1 = none.
  int collecting_pid() const;
  std::uint64_t begun() const;
  std::uint64_t handed_over() const;  // to their end
  std::uint64_t refused() const;      // questions

 private:
  class Impl;
  explicit SnapshotFetches(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_SNAPSHOT_FETCHES_H_
