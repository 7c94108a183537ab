// SPDX-License-Identifier: Apache-2.0
// Checkpoints: how the host was, minute by minute, for the next snapshot: processes, sockets with
// their owners, modules, BPF programs. What is as it was the time before is not written again.
//
//   Take(processes) -> own thread: looks, compares -> DIR/BEGUN.jsonl
//
// A file begins with a checkpoint that is whole ("full") and goes on with what came ("+") and went
// ("-") since. A new file begins when the last is a quarter of the bytes, or at a start; the oldest
// go first. Each line is one JSON object.
//
// Stage: snapshot (edge: files, netlink, bpf). Thread: one of its own; methods from one other, none
// waits. Bounds: kMaxRows, `max_bytes`. Failure: problem(); the snapshot has fewer then.
#ifndef CULPRIT_AGENT_SNAPSHOT_CHECKPOINTS_H_
#define CULPRIT_AGENT_SNAPSHOT_CHECKPOINTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"

namespace culprit {

// As the agent knows it from the kernel's own records.
struct CheckpointProcess {
  std::uint32_t pid = 0, uid = 0, euid = 0, login_uid = 0, session_id = 0;
  std::uint64_t start_ns = 0;  // since boot
  std::uint32_t exec_id = 0, parent_pid = 0;
  std::string comm, exe, sha256;  // sha256: hex, or empty
  bool deleted = false, memfd = false;
};

struct CheckpointOptions {
  std::string directory;
  std::uint64_t max_bytes = 4ULL << 20;
};

class Checkpoints {
 public:
  static constexpr std::size_t kMaxRows = 20'000;  // of one checkpoint

  static Result<std::unique_ptr<Checkpoints>> Start(CheckpointOptions options);
  ~Checkpoints();
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  // Dropped while the one before is being made: false.
  bool Take(std::vector<CheckpointProcess> processes);

  std::string problem() const;
  std::uint64_t taken() const;
  std::uint64_t unchanged() const;  // of those
  // CPU time of the thread so far.
  std::uint64_t cpu_us() const;

 private:
  class Impl;
  explicit Checkpoints(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SNAPSHOT_CHECKPOINTS_H_
